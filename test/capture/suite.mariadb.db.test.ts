import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { captureSuite } from '../../src/testing/index.ts'
import { hasMariadb } from '../harness/mariadb.ts'
import { overMariadb, overMysql2 } from './place-mariadb.ts'
import { mariadbSql } from './suite-mariadb.ts'

const api = { describe: describe.skipIf(!hasMariadb), it, expect, beforeAll, afterAll }

captureSuite(api, 'capture on MariaDB, over mysql2', overMysql2, mariadbSql)
captureSuite(api, 'capture on MariaDB, over mariadb', overMariadb, mariadbSql)

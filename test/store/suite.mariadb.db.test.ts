import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { storeSuite } from '../../src/testing/index.ts'
import { overMariadb, overMysql2 } from '../capture/place-mariadb.ts'
import { mariadbSql } from '../capture/suite-mariadb.ts'
import { hasMariadb } from '../harness/mariadb.ts'

const api = { describe: describe.skipIf(!hasMariadb), it, expect, beforeAll, afterAll }

storeSuite(api, 'the store on MariaDB, over mysql2', overMysql2, mariadbSql)
storeSuite(api, 'the store on MariaDB, over mariadb', overMariadb, mariadbSql)

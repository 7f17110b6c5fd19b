import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { driverSuite } from '../../src/testing/index.ts'
import { pgliteUnderTest } from './under-test.ts'

driverSuite({ describe, it, expect, beforeAll, afterAll }, 'PGlite', pgliteUnderTest)

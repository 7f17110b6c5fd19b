export {
  type CaptureAnswer,
  type CaptureSql,
  type Fault,
  type CaptureStatements,
  captureSuite,
  type CaptureUnderTest,
} from './capture-suite.ts'
export {
  driverSuite,
  type DriverUnderTest,
  type StatementsUnderTest,
  type TestApi,
  type TransactionUnderTest,
} from './driver-suite.ts'
export {
  type InvoiceRow,
  ormSchema,
  type OrmStatements,
  ormSuite,
  type OrmTransaction,
  type OrmUnderTest,
} from './orm-suite.ts'
export { storeSuite, type StoreUnderTest } from './store-suite.ts'

export {
  driverSuite,
  type DriverUnderTest,
  type StatementsUnderTest,
  type TestApi,
  type TransactionUnderTest,
} from './driver-suite.ts'

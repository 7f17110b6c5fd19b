import { readFileSync } from 'node:fs'

/** As much of Vitest's JSON report as is read here. */
interface Report {
  numPassedTests: number
  numFailedTests: number
  numPendingTests: number
  numTodoTests: number
  testResults: {
    name: string
    status: string
    message: string
    assertionResults: { status: string; fullName: string; failureMessages: string[] }[]
  }[]
}

let passed = 0
let failed = 0
let skipped = 0
const failures: Report['testResults'] = []
for (const file of process.argv.slice(2)) {
  const report: Report = JSON.parse(readFileSync(file, 'utf8'))
  const filesThatDidNotLoad = report.testResults.filter(
    ({ status, assertionResults }) => status === 'failed' && assertionResults.length === 0,
  )
  failures.push(...report.testResults.filter(({ status }) => status === 'failed'))
  passed += report.numPassedTests
  failed += report.numFailedTests + filesThatDidNotLoad.length
  skipped += report.numPendingTests + report.numTodoTests
}
// Beside the totals, so that they are read together where only the end of a log is kept
for (const { name, message, assertionResults } of failures) {
  if (assertionResults.length === 0) console.log(`FAILED: ${name}: ${message.slice(0, 500)}`)
  for (const { status, fullName, failureMessages } of assertionResults) {
    if (status === 'failed')
      console.log(`FAILED: ${name}: ${fullName}\n${failureMessages.join('\n').slice(0, 1000)}`)
  }
}
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`)
if (failed > 0) process.exitCode = 1

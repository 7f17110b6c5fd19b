import { createHash } from 'node:crypto'
import { canonicalPolicy, type Policy } from '../core/internal.ts'

/** What tells one policy from another, in whatever order its keys are. */
export function fingerprintOf(policy: Policy): string {
  return createHash('sha256').update(canonicalPolicy(policy)).digest('hex')
}

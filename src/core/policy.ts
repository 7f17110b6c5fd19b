import type { Severity } from './entry.ts'
import type { Names } from './names.ts'
import type { Redaction } from './redact.ts'

/** How one table is audited. Columns are named as in the database. */
export interface ModelPolicy {
  /** A readable name of a row, `'{first_name} {last_name}'`; stored with each entry. */
  readonly label?: string
  /** The column that holds the key of the person whose data the row is. */
  readonly subject?: string
  readonly category?: string
  /** @default 'info' */
  readonly severity?: Severity
  readonly tags?: readonly string[]
  /** `required` refuses a change made without a reason. @default 'optional' */
  readonly reason?: 'optional' | 'required'
  /** A column whose change from NULL to a value is a `SOFT_DELETE`, and back a `RESTORE`. */
  readonly softDelete?: string
  /** Sentences for readers, by action: `{ UPDATE: '{actor} changed invoice {label}' }`. */
  readonly describe?: Readonly<Record<string, string>>
  /** Columns whose change alone writes no entry. */
  readonly ignore?: readonly string[]
  /** Only these columns are recorded. Not together with `exclude`. */
  readonly include?: readonly string[]
  /** These columns are not recorded at all. */
  readonly exclude?: readonly string[]
  readonly redact?: Readonly<Record<string, Redaction>>
  /** Columns whose reading is worth an entry. */
  readonly reads?: readonly string[]
  /**
   * Captures INSERT and DELETE by statement, where that is safe: cheaper for thousands of rows, dearer for one. `migrate`
   * says where it is not. @default false
   */
  readonly bulk?: boolean
  /** Records each row that a TRUNCATE removes, where the database can, and not only that it happened. @default false */
  readonly truncateRows?: boolean
}

/** What is audited, masked and labelled: data only, so that the triggers and the application share one truth. */
export interface Policy {
  /** Schemas whose tables are audited. @default the default schema of the connection */
  readonly schemas?: readonly string[]
  /** By table (`schema.table` outside the default schema). Tables not listed are audited with the defaults; `'*'` is for all. */
  readonly models?: Readonly<Record<string, ModelPolicy | false>>
  /** Secret columns by pattern: `'ssn'`, `'*.ssn'` and `'**.ssn'` anywhere, also inside JSON; `'users.ssn'` in one table. */
  readonly redact?: readonly string[]
  /** Tables of actors by actor type, to look up labels when reading where the context gave none. */
  readonly actors?: Readonly<Record<string, { readonly model: string; readonly label: string }>>
  /** Tables that are not audited. */
  readonly skipModels?: readonly string[]
  /** Actions that are not recorded, of row changes and of the library's own entries alike. */
  readonly skipActions?: readonly string[]
  /** Whether `audit.skip()` may switch capture off; it leaves SKIPPED entries. @default true */
  readonly allowSkip?: boolean
  /** `skip` leaves one SKIPPED entry a transaction and table for the writes of a migration; `record` records them. @default 'skip' */
  readonly migrations?: 'skip' | 'record'
  /** Whether client addresses are stored. @default true */
  readonly addresses?: boolean
  /** Values longer than this many bytes are cut: `{"$":"cut","length":n}`. @default 100000 */
  readonly maxValueBytes?: number
  /**
   * What becomes of a change that cannot be recorded: `fail` fails the write; `report` lets it through, counts it in
   * `status`, and tells `onError` where the client hears of it. Dearer for every write, and not on SQLite. @default 'fail'
   */
  readonly onCaptureError?: 'fail' | 'report'
  /** How long entries are kept, by kind or model, `'*'` for the rest. */
  readonly retention?: Readonly<Record<string, string>>
}

/** The content of `whodunit.config.ts`. */
export interface AuditConfig extends Policy {
  /** For the CLI: the owner role, the direct port. `postgres://...`, `mysql://...`, `mariadb://...`, `pglite:DIR` or `sqlite:FILE`. */
  readonly url?: string
  /** The application's names of tables and columns, so that policy, command line and entries may speak them. An ORM's door has them. */
  readonly names?: Names
}

export const defaultMaxValueBytes = 100_000

/** The keys a policy may have; everything else of a configuration is not the database's concern. */
export const policyKeys: readonly (keyof Policy)[] = [
  'schemas',
  'models',
  'redact',
  'actors',
  'skipModels',
  'skipActions',
  'allowSkip',
  'migrations',
  'addresses',
  'maxValueBytes',
  'onCaptureError',
  'retention',
]

export const modelKeys: readonly (keyof ModelPolicy)[] = [
  'label',
  'subject',
  'category',
  'severity',
  'tags',
  'reason',
  'softDelete',
  'describe',
  'ignore',
  'include',
  'exclude',
  'redact',
  'reads',
  'bulk',
  'truncateRows',
]

/** The policy alone, without the rest of a configuration. */
export function policyOf(config: AuditConfig): Policy {
  const given = policyKeys.filter((key) => config[key] !== undefined)
  return Object.fromEntries(given.map((key) => [key, config[key]]))
}

/** The text a policy is compared and stored by: keys sorted, so that order in the file does not matter. */
export function canonicalPolicy(policy: Policy): string {
  return JSON.stringify(policy, (_key, value: unknown) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
    return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)))
  })
}

/** `'*'` and the model's own entry as one; the model's own lists come on top of those of `'*'`. `false`: not audited. */
export function modelPolicy(policy: Policy, model: string): ModelPolicy | false {
  const own = policy.models?.[model]
  if (own === false || policy.skipModels?.includes(model)) return false
  const all = policy.models?.['*']
  if (!own || !all) return own ?? (all === false ? false : (all ?? {}))
  return {
    ...all,
    ...own,
    ...(all.ignore || own.ignore ? { ignore: [...(all.ignore ?? []), ...(own.ignore ?? [])] } : {}),
    // a table's own include list stands in place of the exclude list for all, and the other way round
    ...(own.include || own.exclude ? { include: own.include ?? [], exclude: own.exclude ?? [] } : {}),
    redact: { ...all.redact, ...own.redact },
  }
}

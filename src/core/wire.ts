import { fullAgent, shortAgent } from './agent.ts'
import { actorKey, fromActorKey, toActor } from './actor.ts'
import type { AuditContext, Origin, RequestContext } from './context.ts'
import { maskSecrets } from './redact.ts'
import { limits, oneLine, storedJson } from './text.ts'

/*
 * The context on its way into the database, and as it is stored: four parts, so that a trigger can take the three that
 * are searched without parsing anything, and malformed text (set by hand in SQL) can never fail a write or a read.
 *
 *   actor RS request RS tenant RS rest          rest = label LF ip LF session LF user agent LF reason LF origin LF JSON
 *
 * A leading '-' says that capture is skipped; the reason is then the reason of the skip.
 */
export const partSeparator = '\u001e'
export const lineSeparator = '\n'
export const skipMark = '-'
/** The lines of the last part, in order. */
export const restLines = ['label', 'ip', 'session', 'userAgent', 'reason', 'origin', 'extra'] as const

/** The context in the form of the wire; empty for an empty context. */
export function encodeContext(context: AuditContext, skip?: string): string {
  const parts = encodeParts(context, skip)
  const text = [parts.actor, parts.request, parts.tenant, parts.rest].join(partSeparator)
  if (skip !== undefined) return skipMark + text
  return parts.rest === '' && text.length === 3 ? '' : text
}

/** The parts as the trail's columns hold them. */
export interface ContextParts {
  readonly actor: string
  readonly request: string
  readonly tenant: string
  readonly rest: string
}

export function encodeParts(context: AuditContext, skip?: string): ContextParts {
  const { actor, request, tenant, metadata, origin, app } = context
  const extra = {
    ...(request?.method ? { method: oneLine(request.method, 20) } : {}),
    ...(request?.path ? { path: oneLine(request.path, limits.path) } : {}),
    ...(actor?.onBehalfOf ? { onBehalfOf: actor.onBehalfOf } : {}),
    ...(app ? { app: oneLine(app, limits.id) } : {}),
    ...(metadata ? { metadata: boundedJson(metadata) } : {}),
  }
  const lines = [
    oneLine(actor?.label ?? '', limits.label),
    oneLine(request?.ip ?? '', limits.address),
    oneLine(request?.sessionId ?? '', limits.id),
    shortAgent(oneLine(request?.userAgent ?? '', limits.userAgent)),
    oneLine(skip ?? context.reason ?? '', limits.reason),
    origin ?? '',
    Object.keys(extra).length > 0 ? storedJson(extra) : '',
  ]
  return {
    actor: actor ? oneLine(actorKey(actor), limits.id) : '',
    request: oneLine(request?.id ?? '', limits.id),
    tenant: oneLine(tenant ?? '', limits.id),
    rest: lines.every((line) => line === '') ? '' : lines.join(lineSeparator),
  }
}

/** Reads what {@link encodeParts} wrote. Never throws: what has no sense is left out. */
export function decodeParts(parts: { readonly [K in keyof ContextParts]: string | null }): AuditContext {
  const [label, ip, session, userAgent, reason, origin, ...json] = (parts.rest ?? '').split(lineSeparator)
  const extra = parseObject(json.join(lineSeparator))
  const who = parts.actor ? fromActorKey(parts.actor) : undefined
  const onBehalfOf = toActor(extra['onBehalfOf'])
  // a sign-in logged outside of a request may know an address all the same
  const request: RequestContext | undefined =
    parts.request || ip || userAgent || session
      ? {
          id: parts.request ?? '',
          ...(ip ? { ip } : {}),
          ...(userAgent ? { userAgent: fullAgent(userAgent) } : {}),
          ...(session ? { sessionId: session } : {}),
          ...(typeof extra['method'] === 'string' ? { method: extra['method'] } : {}),
          ...(typeof extra['path'] === 'string' ? { path: extra['path'] } : {}),
        }
      : undefined
  return {
    ...(who ? { actor: { ...who, ...(label ? { label } : {}), ...(onBehalfOf ? { onBehalfOf } : {}) } } : {}),
    ...(request ? { request } : {}),
    ...(parts.tenant ? { tenant: parts.tenant } : {}),
    ...(reason ? { reason } : {}),
    ...(isObject(extra['metadata']) ? { metadata: extra['metadata'] } : {}),
    ...(origin ? { origin: origin as Origin } : {}),
    ...(typeof extra['app'] === 'string' ? { app: extra['app'] } : {}),
  }
}

/** JSON-ready free data: secrets masked by name, and one mark in place of it all where it is too long. */
export function boundedJson(value: unknown): unknown {
  let text: string | undefined
  try {
    text = JSON.stringify(maskSecrets(value))
  } catch {
    return { $: 'unreadable' } // cyclic, or a getter that throws
  }
  if (text === undefined) return null
  return text.length > limits.metadata ? { $: 'cut', length: text.length } : (JSON.parse(text) as unknown)
}

function parseObject(text: string): Record<string, unknown> {
  if (text === '') return {}
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : {}
  } catch {
    return {}
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * What nearly every browser says of itself, and the code that stands for it in the trail: a user agent of 110 characters
 * takes 8. Stored entries hold these codes, so a line here is never changed; new ones are added below. The codes are
 * control characters, which no stored text of a line holds otherwise.
 */
export const agentPieces: readonly (readonly [code: string, piece: string])[] = [
  ['\u0001', 'Mozilla/5.0 ('],
  ['\u0002', ') AppleWebKit/537.36 (KHTML, like Gecko) Chrome/'],
  ['\u0003', ') AppleWebKit/605.1.15 (KHTML, like Gecko) Version/'],
  ['\u0004', ' Safari/537.36'],
  ['\u0005', ' Safari/605.1.15'],
  ['\u0006', ' Mobile/15E148 Safari/604.1'],
  ['\u0007', 'Windows NT 10.0; Win64; x64'],
  ['\u0008', 'Macintosh; Intel Mac OS X 10'],
  ['\u000e', 'X11; Linux x86_64'],
  ['\u0013', 'X11; Ubuntu; Linux x86_64; rv:'],
  ['\u000f', 'Linux; Android 10; K'],
  ['\u0010', 'iPhone; CPU iPhone OS '],
  ['\u0011', ') Gecko/20100101 Firefox/'],
  ['\u0012', '.0.0.0'],
]

/** A user agent as it is stored. Gives back exactly what came in, by {@link fullAgent}. */
export function shortAgent(agent: string): string {
  return agentPieces.reduce((rest, [code, piece]) => rest.replaceAll(piece, code), agent)
}

export function fullAgent(stored: string): string {
  return agentPieces.reduce((rest, [code, piece]) => rest.replaceAll(code, piece), stored)
}

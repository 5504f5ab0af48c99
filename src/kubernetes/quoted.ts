/** How a text that somebody sent stands in a message. */

/** For a message: quoted, without control characters, and no longer than a name may be. */
export function quoted(text: string): string {
  const shown = JSON.stringify(text.length > 80 ? `${text.slice(0, 79)}…` : text)
  return shown.replace(UNSEEN, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** What JSON leaves as it is, and a terminal or a page does not show: DEL, C1, marks of direction, BOM. */
const UNSEEN = /[\u007f-\u009f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g

/**
 * Requests that want too much, or to be taken for something else, each with how it has to be refused. Sent over
 * HTTP as anybody could send them; what takes raw bytes or several connections is not here.
 */
import { randomUUID } from 'node:crypto'
import { gzipSync } from 'node:zlib'

export interface Attack {
  readonly name: string
  readonly method?: string
  /** Default `/graphql`. */
  readonly path?: string
  readonly headers?: Readonly<Record<string, string>>
  /** Made for each request, so that nothing that is kept answers it. */
  readonly body?: () => string | Buffer
  readonly status: number
  /** `extensions.code` of the first error, where it has one. */
  readonly code?: string
}

const repeat = (count: number, part: (index: number) => string) =>
  Array.from({ length: count }, (_, index) => part(index)).join(' ')

/** A query as JSON; a comment makes its text another each time. */
const query =
  (text: string, more: object = {}) =>
  () =>
    JSON.stringify({ query: `${text} # ${randomUUID()}`, ...more })

const FIELD = 'pods(first: 1) { nodes { name } }'

const graphql = (name: string, body: () => string, code: string): Attack => ({
  name,
  body,
  status: 400,
  code,
})

export const ATTACKS: readonly Attack[] = [
  graphql(
    'a deep query',
    query(
      `{ pods { nodes { ${repeat(30, () => 'namespaceObject { pods { nodes {')} name ${'} } }'.repeat(30)} } } }`,
    ),
    'LIMIT_EXCEEDED',
  ),
  graphql('a query as deep as it may be long', query(`{ a ${'{ a '.repeat(16_000)}`), 'LIMIT_EXCEEDED'),
  graphql(
    'a wide query',
    query(`{ ${repeat(450, (i) => (i % 2 ? FIELD : '__typename'))} }`),
    'LIMIT_EXCEEDED',
  ),
  graphql('many aliases', query(`{ ${repeat(100, (i) => `a${i}: __typename`)} }`), 'LIMIT_EXCEEDED'),
  graphql('many directives', query(`{ __typename ${'@include(if: true) '.repeat(200)} }`), 'LIMIT_EXCEEDED'),
  graphql('unknown directives', query(`{ __typename ${'@aaaa '.repeat(45)} }`), 'GRAPHQL_VALIDATION_FAILED'),
  graphql(
    'a cycle of fragments',
    query('{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }'),
    'GRAPHQL_VALIDATION_FAILED',
  ),
  graphql(
    'fragments that double each other',
    query(
      `{ ...F0 } ${repeat(100, (i) => `fragment F${i} on Query { ...F${i + 1} ...F${i + 1} }`)} fragment F100 on Query { ${FIELD} }`,
    ),
    'LIMIT_EXCEEDED',
  ),
  graphql(
    'fields that have to be compared with each other',
    query(`{ ${repeat(195, (i) => `pods(first: ${i}) { totalCount }`)} }`),
    'LIMIT_EXCEEDED',
  ),
  graphql(
    'fragments that have to be compared with each other',
    query(
      `{ ${repeat(60, (i) => `...F${i}`)} } ${repeat(60, (i) => `fragment F${i} on Query { pods(first: ${i}) { nodes { name id uid } } }`)}`,
    ),
    'LIMIT_EXCEEDED',
  ),
  graphql(
    'pages of pages',
    query('{ pods(first: 500) { nodes { namespaceObject { pods(first: 500) { nodes { name } } } } } }'),
    'LIMIT_EXCEEDED',
  ),
  graphql(
    'many passes over all',
    query(
      `{ ${repeat(25, (i) => `a${i}: pods(first: 1, filter: { name: { contains: "zz${i}" } }) { totalCount }`)} }`,
    ),
    'LIMIT_EXCEEDED',
  ),
  graphql(
    'a huge number',
    query('{ pods(first: 99999999999999999999999999) { totalCount } }'),
    'GRAPHQL_VALIDATION_FAILED',
  ),
  graphql(
    'a huge number in a variable',
    query('query ($n: Int) { pods(first: $n) { totalCount } }', { variables: { n: 1e300 } }),
    'BAD_USER_INPUT',
  ),
  graphql(
    'a long name of an operation',
    query('{ __typename }', { operationName: 'x'.repeat(200_000) }),
    'OPERATION_RESOLUTION_FAILURE',
  ),
  graphql('a text as long as the body may be', query('x'.repeat(200_000)), 'LIMIT_EXCEEDED'),
  graphql('a long text that is no query', query('x'.repeat(65_000)), 'GRAPHQL_PARSE_FAILED'),
  graphql(
    'a long comment',
    () => JSON.stringify({ query: `{ __typename } ${'# x\n'.repeat(16_000)} # ${randomUUID()}` }),
    'LIMIT_EXCEEDED',
  ),
  graphql(
    'a wrong name that could be guessed at',
    query('{ podz { nodes { nam } } }'),
    'GRAPHQL_VALIDATION_FAILED',
  ),
  graphql(
    'introspection',
    query('{ __schema { types { name fields { name type { name } } } } }'),
    'INTROSPECTION_DISABLED',
  ),
  graphql(
    'a document that is not known',
    () => JSON.stringify({ documentId: `sha256:${'0'.repeat(64)}` }),
    'PERSISTED_QUERY_NOT_FOUND',
  ),
  graphql(
    'variables deeper than the stack',
    () =>
      `{"query":"query ($f: PodFilter) { pods(filter: $f) { totalCount } } # ${randomUUID()}","variables":{"f":${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}}}`,
    'BAD_REQUEST',
  ),
  graphql(
    'lists deeper than the stack',
    () =>
      `{"query":"{ __typename } # ${randomUUID()}","variables":{"f":${'['.repeat(60_000)}${']'.repeat(60_000)}}}`,
    'BAD_REQUEST',
  ),
  graphql(
    'a batch',
    () => JSON.stringify(Array.from({ length: 100 }, () => ({ query: '{ __typename }' }))),
    'BAD_REQUEST',
  ),
  graphql('a body that is not JSON', () => '{"query":', 'BAD_REQUEST'),
  graphql('a query that is no text', () => '{"query":{"__proto__":{"length":5}}}', 'BAD_REQUEST'),
  {
    name: 'a body of half a megabyte',
    body: () => Buffer.alloc(1 << 19, 0x20),
    status: 413,
    code: 'BODY_TOO_LARGE',
  },
  {
    name: 'a compressed body',
    headers: { 'content-encoding': 'gzip' },
    body: () => gzipSync(Buffer.alloc(1 << 20, 0x20)),
    status: 415,
  },
  {
    name: 'a form',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: () => 'query={__typename}',
    status: 415,
  },
  {
    name: 'a form with files',
    headers: { 'content-type': 'multipart/form-data; boundary=x' },
    body: () => '--x--',
    status: 415,
  },
  {
    name: 'a form of plain text',
    headers: { 'content-type': 'text/plain' },
    body: query('{ __typename }'),
    status: 415,
  },
  {
    name: 'another character set',
    headers: { 'content-type': 'application/json; charset=utf-7' },
    body: query('{ __typename }'),
    status: 415,
  },
  {
    name: 'a GET that any page could send',
    method: 'GET',
    path: '/graphql?query=%7B__typename%7D',
    status: 403,
    code: 'CSRF',
  },
  {
    name: 'an image',
    method: 'GET',
    path: '/graphql?query=%7B__typename%7D',
    headers: { accept: 'image/*' },
    status: 403,
    code: 'CSRF',
  },
  {
    name: 'a page of another site',
    method: 'OPTIONS',
    headers: { origin: 'https://evil.example', 'access-control-request-method': 'POST' },
    status: 405,
  },
  { name: 'a method that is not served', method: 'DELETE', status: 405 },
  { name: 'a path upwards', method: 'GET', path: '/../../etc/passwd', status: 404 },
  { name: 'a path upwards in disguise', method: 'GET', path: '/graphql/..%2f..%2fetc/passwd', status: 404 },
  { name: 'a path with a slash too many', path: '//graphql', body: query('{ __typename }'), status: 404 },
  { name: 'a path in capitals', path: '/GraphQL', body: query('{ __typename }'), status: 404 },
  { name: 'a path of another server', method: 'GET', path: '/__proto__', status: 404 },
  { name: 'a path of every object', method: 'GET', path: '/constructor', status: 404 },
  { name: 'a path as long as a head may be', method: 'GET', path: `/${'x'.repeat(12_000)}`, status: 404 },
]

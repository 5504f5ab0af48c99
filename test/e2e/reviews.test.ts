/** The truth: our reviews against a real API server, with a client certificate of ours and tokens of theirs. */
import { describeReviews, REVIEWED_USERS } from '../contract/reviews/reviews.ts'
import { startControlPlane } from '../support/control-plane.ts'

describeReviews('a real API server', async () => {
  const plane = await startControlPlane({ name: 'reviews', controllers: false })
  return {
    kubeconfig: plane.kubeconfig.text,
    tokens: Object.fromEntries(
      Object.entries(REVIEWED_USERS).map(([name, groups]) => [name, plane.token(name, groups)]),
    ),
    close: () => plane.close(),
  }
})

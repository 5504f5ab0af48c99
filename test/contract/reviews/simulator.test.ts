/** The simulator has to answer our reviews as a real API server does. */
import { startSimulator } from '../../../src/simulator/simulator.ts'
import { describeReviews, REVIEWED_USERS } from './reviews.ts'

describeReviews('the simulator', async () => {
  const names = Object.keys(REVIEWED_USERS) as (keyof typeof REVIEWED_USERS)[]
  const simulator = await startSimulator({
    name: 'reviewed',
    users: Object.fromEntries(
      names.map((name) => [`token-of-${name}`, { username: name, groups: [...REVIEWED_USERS[name]] }]),
    ),
  })
  return {
    kubeconfig: JSON.stringify(simulator.kubeconfig()),
    tokens: Object.fromEntries(names.map((name) => [name, `token-of-${name}`])),
    close: () => simulator.close(),
  }
})

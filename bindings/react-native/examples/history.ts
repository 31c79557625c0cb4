/** Practice history: the sessions in a store, and their turns. */
import { openEngine } from 'tertulia-react-native';

export async function history(store: string, print: (line: string) => void): Promise<void> {
  const models = { vad: 'none', turnDetector: 'none', recognizer: 'none', chat: 'none', synthesizer: 'none' };
  const engine = await openEngine({ store: { path: store }, models });
  const { sessions } = await engine.sessions();
  for (const session of sessions) {
    const day = new Date(session.updatedMs).toISOString().slice(0, 10);
    print(`${day}  ${session.target}  ${session.level}  ${session.title ?? 'untitled'}`);
    for (const turn of (await engine.turns(session.id)).turns) {
      print(`    ${turn.turn}. ${turn.userText}\n       ${turn.heardText ?? turn.replyText}`);
    }
  }
  await engine.shutDown();
}

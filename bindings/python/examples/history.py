"""Practice history: history.py STORE lists the sessions in a store, and their turns."""

import sys
from datetime import datetime

from tertulia import ModelChoices, SessionQuery, TertuliaEngine

NO_MODELS = ModelChoices(vad="none", turn_detector="none", recognizer="none", chat="none", synthesizer="none")


def main(store: str) -> None:
    with TertuliaEngine(store, models=NO_MODELS) as engine:
        for session in engine.sessions(SessionQuery()):
            day = datetime.fromtimestamp(session.updated_ms / 1_000).date()
            print(f"{day}  {session.target}  {session.level}  {session.title or 'untitled'}")
            for turn in engine.turns(session.id):
                heard = turn.reply_text if turn.heard_text is None else turn.heard_text
                print(f"    {turn.turn}. {turn.user_text}\n       {heard}")


if __name__ == "__main__":
    main(sys.argv[1])

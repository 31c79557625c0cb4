"""A chat model of one's own: custom_chat.py. A server's answer would be streamed the same way."""

from collections.abc import Iterator

from tertulia import (
    ChatModel,
    ChatRequest,
    ModelChoices,
    ReplyTextDelta,
    SessionConfig,
    TertuliaEngine,
    TurnFailed,
    TurnFinished,
)

# In writing only; without this line the default models recognise and speak.
IN_WRITING = ModelChoices(vad="none", turn_detector="none", recognizer="none", synthesizer="none")


class Parrot(ChatModel):
    name = "parrot"
    languages = ("en", "es")

    def reply(self, request: ChatRequest) -> Iterator[str]:
        for word in f"¿{request.messages[-1].content}? ¡Qué bien!".split():
            yield word + " "


def main() -> None:
    with TertuliaEngine(chat=Parrot(), models=IN_WRITING) as engine:
        with engine.create_session(SessionConfig(native="en", target="es")) as session:
            session.send_text("Tengo hambre")
            for event in session.events():
                match event.kind:
                    case ReplyTextDelta(text=text):
                        print(text, end="", flush=True)
                    case TurnFinished():
                        print()
                        break
                    case TurnFailed(error=error):
                        raise SystemExit(f"{error.name}: {error.detail}")
                    case _:
                        pass


if __name__ == "__main__":
    main()

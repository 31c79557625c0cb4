//! A synchronous way through a reply.

use tertulia::backend::{ChatRequest, ChatStep, ChatUsage, Conversation, StopReason, run_steps};

/// The whole reply, why it ended and what it took.
pub(crate) fn finish(conversation: &mut dyn Conversation, request: ChatRequest) -> (String, StopReason, ChatUsage) {
    let (mut text, mut done) = (String::new(), None);
    run_steps(conversation.reply(request).unwrap(), |step| {
        match step {
            ChatStep::Text(more) => {
                assert!(!more.is_empty());
                text += &more;
            }
            ChatStep::Done { reason, usage } => done = Some((reason, usage)),
            _ => {}
        }
        Ok(())
    })
    .unwrap();
    let (reason, usage) = done.expect("a reply ends with Done");
    (text, reason, usage)
}

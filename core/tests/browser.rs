//! Checked for browsers only: backends, storage and wakers of a page need not be `Send`, and nothing blocks.
#![cfg(all(target_family = "wasm", target_os = "unknown"))]

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use tertulia::backend::*;
use tertulia::store::redb::{StorageBackend, backends::InMemoryBackend};
use tertulia::store::{BackendFactory, StoreLocation};
use tertulia::{Clock, Engine, EngineBuilder, LanguageTag, LocalDriver, Result, SessionEngine};

/// Anything of the page's: it belongs to one thread.
#[derive(Clone, Default)]
struct Page(Rc<Cell<u64>>);

impl Clock for Page {
    fn monotonic_us(&self) -> u64 {
        self.0.get()
    }

    fn unix_ms(&self) -> u64 {
        self.0.get()
    }
}

impl BackendFactory for Page {
    fn prepare(&self) -> BoxFuture<'_, Result<()>> {
        let page = self.clone();
        Box::pin(async move { Ok(page.0.set(1)) })
    }

    fn open(&self) -> Result<Arc<dyn StorageBackend>> {
        Ok(Arc::new(InMemoryBackend::new()))
    }
}

impl Model for Page {
    fn name(&self) -> &str {
        "page"
    }
}

impl Recognizer for Page {
    fn languages(&self) -> Vec<LanguageTag> {
        Vec::new()
    }

    fn recognize(&self, _request: RecognitionRequest) -> Result<Steps<'static, RecognitionStep>> {
        let (page, (sender, steps)) = (self.clone(), steps_channel());
        sender.send(RecognitionStep::Final(page.0.get().to_string().into()))?;
        Ok(steps)
    }
}

#[expect(dead_code, reason = "it need only compile")]
async fn open(page: Page) -> Result<(Engine, LocalDriver)> {
    let backends = Backends { recognizer: Some(Arc::new(page.clone())), ..Backends::default() };
    let builder = EngineBuilder::new().backends(backends).clock(Arc::new(page.clone()));
    let (engine, mut driver) = builder.store(StoreLocation::Backend(Box::new(page.clone()))).build_local().await?;
    engine.events()?.set_waker(move || page.0.set(2));
    let mut archive = Vec::new();
    let mut job = engine.export_session_to(tertulia::SessionId::new(0), Box::new(&mut archive));
    job.next().await?;
    driver.next_step().await;
    drop(job);
    Ok((engine, driver))
}

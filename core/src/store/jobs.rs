//! The jobs of a store: calls that read or copy much of it, in pieces between which other calls run.

#[cfg(doc)]
use super::BackendFactory;
use super::compact::{self, Contents};
use super::tables::Snapshot;
use super::{
    ArchiveOutput, ArchiveSource, ExportReport, ImportOptions, ImportReport, Store, StoreKey, Verified, archive, check,
    sweep,
};
use crate::error::{ErrorCode, Result};
use crate::event::SessionId;
use crate::job::{Job, JobControl};

impl Store {
    /// Reads everything, and lists damaged and lost records.
    ///
    /// # Errors
    /// [`ErrorCode::StoreIo`]; [`ErrorCode::StoreCorrupt`] where the damage is not in single records.
    pub fn verify(&self) -> Job<'static, Verified> {
        let (control, inner) = (JobControl::default(), self.0.clone());
        Job::once(control.clone(), async move { check::verify(&inner.db, &control).await })
    }

    /// Gives the store another key, encrypts it with its first, or with `None` takes the encryption away: copies what
    /// lives into a fresh storage, sealed with the new key, which replaces the old one. After a crash the store opens with
    /// the old key or the new one, whole. A damaged record stays damaged, without its bytes.
    ///
    /// # Errors
    /// Those of [`Store::compact`]. After [`ErrorCode::StoreIo`] the key may be the new one nevertheless: keep both until
    /// the call was made once more and succeeded.
    pub fn rotate_key(&self, key: Option<StoreKey>) -> Job<'static, ()> {
        let (control, inner) = (JobControl::default(), self.0.clone());
        Job::once(control.clone(), async move {
            if key.is_none() && !inner.db.is_encrypted() {
                return Ok(());
            }
            compact::replace(&inner.db, &control, Contents::Resealed(key)).await
        })
    }

    /// Deletes sessions so that no byte of them is left in the storage, by [compaction](Store::compact). A session that is
    /// not there is no error, so that a failed call can be repeated. Blocks of the removed file may stay on the disk; those
    /// of an encrypted store are unreadable.
    ///
    /// # Errors
    /// [`ErrorCode::StoreCannotReplace`] for storage of the host that has no [`BackendFactory::fresh`], and those of
    /// [`Store::delete_session`]: the sessions may be deleted then, but not every byte of them.
    pub fn erase(&self, ids: &[SessionId]) -> Job<'static, ()> {
        let (control, store, ids) = (JobControl::default(), self.clone(), ids.to_vec());
        Job::once(control.clone(), async move {
            for id in ids {
                match store.delete_session(id) {
                    Err(error) if error.code() == ErrorCode::SessionNotFound => {}
                    result => result?,
                }
                control.piece(0.0).await?;
            }
            // Rows that were left to a later sweep, too.
            sweep::purge(&store.0.db)?;
            compact::replace(&store.0.db, &control, Contents::All).await
        })
    }

    /// Deletes all sessions, turns and audio, so that no byte of them is left. An encrypted store keeps its key.
    ///
    /// # Errors
    /// Those of [`Store::erase`]; nothing is deleted then.
    pub fn erase_all(&self) -> Job<'static, ()> {
        let (control, inner) = (JobControl::default(), self.0.clone());
        Job::once(control.clone(), async move { compact::replace(&inner.db, &control, Contents::Nothing).await })
    }

    /// Copies the live rows into a fresh storage, which replaces the old one: frees the room, and the last bytes, of
    /// deleted data. A crash leaves one or the other, whole. Other calls run between the pieces of the copy; where one
    /// writes meanwhile, it is made again, the third time in one piece while all other calls wait. Exports are waited for.
    ///
    /// # Errors
    /// [`ErrorCode::StoreCannotReplace`], [`ErrorCode::StoreFull`], [`ErrorCode::StoreIo`], [`ErrorCode::StoreCorrupt`];
    /// the store is unchanged then.
    pub fn compact(&self) -> Job<'static, ()> {
        let (control, inner) = (JobControl::default(), self.0.clone());
        Job::once(control.clone(), async move {
            sweep::purge(&inner.db)?;
            compact::replace(&inner.db, &control, Contents::All).await
        })
    }

    /// Compacts it, unless something is written meanwhile.
    pub(crate) async fn compact_if_idle(&self, control: &JobControl) -> Result<()> {
        compact::replace_if_idle(&self.0.db, control).await
    }

    /// Exports the session as a zip archive with `session.jsonl` (a JSON object a line: the session, then its turns), a
    /// WAV file for each recording (`audio/turn-7-user.wav`) and `manifest.json`, which comes last. It is a snapshot, not
    /// encrypted even where the store is; at most one recording is held in memory.
    ///
    /// Damaged turns and recordings are left out; the report and the manifest count them. `out` is written from front to
    /// back; put a [`BufWriter`](std::io::BufWriter) around a file. After an error the archive is incomplete.
    ///
    /// # Errors
    /// [`ErrorCode::ArchiveIo`] where `out` fails; those of [`Store::turns`].
    pub fn export_to<'a>(&self, id: SessionId, mut out: Box<dyn ArchiveOutput + 'a>) -> Job<'a, ExportReport> {
        let (control, inner) = (JobControl::default(), self.0.clone());
        Job::once(control.clone(), async move {
            let pin = inner.db.pin();
            let (snapshot, session) = pin.run(|open| {
                let snapshot = Snapshot::of(open)?;
                let session = snapshot.unless_lost(id, snapshot.load_session(id))?.record(id)?;
                Ok((snapshot, session))
            })?;
            archive::export(&pin, &snapshot, session, &mut *out, &control).await
        })
    }

    /// Imports a session that [`Store::export_to`] wrote; `now_ms` is Unix time. All of the archive is verified before
    /// anything is written, and the session becomes visible once all of it is there. One import runs at a time.
    ///
    /// Exporting the session again gives the same `session.jsonl` and recordings, except for audio and texts that the
    /// session's retention forbids by now, and an open turn, which is interrupted as by a crash. An ended session stays
    /// ended.
    ///
    /// # Errors
    /// [`ErrorCode::ImportNotAnArchive`]; [`ErrorCode::ImportDamaged`] where a file is truncated, does not match the
    /// manifest, or is inconsistent; [`ErrorCode::ImportTooLarge`] beyond the limits of the options;
    /// [`ErrorCode::ImportUnsafePath`]; [`ErrorCode::ImportFromFuture`]; [`ErrorCode::SessionExists`], unless
    /// [`ImportOptions::new_id`] gives another id; [`ErrorCode::ArchiveIo`] where `source` fails;
    /// [`ErrorCode::StoreFull`], [`ErrorCode::StoreIo`], [`ErrorCode::StoreCorrupt`]. After one of the last three the
    /// session may be there nevertheless, all of it.
    pub fn import_from<'a>(
        &self,
        mut source: Box<dyn ArchiveSource + 'a>,
        options: ImportOptions,
        now_ms: u64,
    ) -> Job<'a, ImportReport> {
        let (control, inner) = (JobControl::default(), self.0.clone());
        Job::once(control.clone(), async move {
            let _exclusive = inner.importing.lock().await;
            let imported = archive::import(&inner.db, &mut *source, &options, now_ms, &control).await;
            inner.quota.forget_count();
            imported
        })
    }
}

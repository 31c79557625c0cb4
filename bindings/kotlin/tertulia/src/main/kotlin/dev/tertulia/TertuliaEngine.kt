package dev.tertulia

import dev.tertulia.generated.JobItem
import kotlinx.coroutines.cancel
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.map
import java.util.concurrent.ConcurrentHashMap
import kotlin.time.Duration
import kotlin.time.Duration.Companion.seconds

/**
 * An engine: sessions in a store, on models or backends of the host's. Close it: without that it lasts until the last
 * reference to it and to its sessions is gone.
 *
 * Every call may be made on any thread. Those that read the store or open an engine block for the time of the disk.
 */
class TertuliaEngine private constructor(
    private val raw: dev.tertulia.generated.TertuliaEngine,
    private val work: BackendScope,
) : AutoCloseable {
    private val reader = EventReader(raw::nextEvent, raw::setWaker, ReplyTexts())
    private val texts = ConcurrentHashMap<String, ReplyTexts>()

    companion object {
        /** Opens an engine. The host's own backends take the place of the options' models. */
        fun open(options: EngineOptions = EngineOptions(), backends: HostBackends = HostBackends()): TertuliaEngine {
            val work = BackendScope()
            val raw = edge { dev.tertulia.generated.TertuliaEngine(options, backends.lowered(work)) }
            return TertuliaEngine(raw, work).also(Exit::add)
        }

        /** An engine that was opened elsewhere. */
        internal fun of(raw: dev.tertulia.generated.TertuliaEngine) = TertuliaEngine(raw, BackendScope())
    }

    /** Events of the engine itself: models being loaded, errors outside sessions. One collector at a time. */
    val events: Flow<TertuliaEvent> get() = reader.flow()

    /** Waits for the next event of the engine itself; null where none came. */
    fun nextEvent(timeout: Duration): TertuliaEvent? = reader.next(timeout)

    /** Makes a call that a command in JSON stands for, and gives its answer in JSON (docs/schema). */
    fun apply(commandJson: String): String = edge { raw.apply(commandJson) }

    /** Creates a session and opens it. It stays open until it is closed or ended. */
    fun createSession(config: SessionConfig): TertuliaSession = handle(edge { raw.createSession(config) })

    /** Opens a stored session where it was left, with changes of its settings. */
    fun openSession(session: String, update: SessionUpdate? = null): TertuliaSession =
        handle(edge { raw.openSession(session, update) })

    /** Another handle of an open session. */
    fun sessionHandle(session: String): TertuliaSession = handle(edge { raw.sessionHandle(session) })

    /** Deletes a session, which must not be open. */
    fun deleteSession(session: String) = edge { raw.deleteSession(session) }

    /** The sessions that match, the one that changed last first, in pages. Reads the store. */
    fun sessions(query: SessionQuery? = null, after: SessionCursor? = null, limit: Int = 50): SessionPage =
        edge { raw.sessions(query, after, limit.toUInt()) }

    /** A session as it is stored. */
    fun session(session: String): SessionRecord = edge { raw.session(session) }

    /** At most [limit] turns of a session, open or not, after the turn [after] or from the first on. Reads the store. */
    fun turns(session: String, after: ULong? = null, limit: Int = 50): TurnPage =
        edge { raw.turns(session, after, limit.toUInt()) }

    /** The audio of a turn of a session, open or not. Reads the store. */
    fun audio(session: String, turn: ULong, kind: AudioKind): StoredAudio = edge { raw.audio(session, turn, kind) }

    /** The engine's abilities, as its backends state them. */
    fun capabilities(): Capabilities = edge { raw.capabilities() }

    /** The space that the store takes. */
    fun storeUsage(): StoreUsage = edge { raw.storeUsage() }

    /** Transcribes mono samples of -1 to 1 as one utterance. One language forces it, several are chosen from. */
    suspend fun transcribe(
        samples: FloatArray,
        rate: Int,
        languages: List<String> = emptyList(),
        onProgress: ((Float) -> Unit)? = null,
    ): SpeechTranscript =
        transcript(result(onProgress) { raw.transcribe(samples.direct(), rate.toUInt(), languages) })

    /** The same with a whole file (webm, mp4, ogg, wav, mp3 or flac). */
    suspend fun transcribeEncoded(
        file: ByteArray,
        languages: List<String> = emptyList(),
        onProgress: ((Float) -> Unit)? = null,
    ): SpeechTranscript = transcript(result(onProgress) { raw.transcribeEncoded(file.direct(), languages) })

    /** Listens to a recording as to an open microphone, with endpointing, and gives events. */
    fun listen(samples: FloatArray, rate: Int, languages: List<String> = emptyList()): Flow<TertuliaEvent> {
        val texts = ReplyTexts()
        return items { raw.listen(samples.direct(), rate.toUInt(), languages) }
            .map { lifted((it as JobItem.Event).event, texts) }
    }

    /** Speaks a text; the spans of its chunks are UTF-16 units of the request's text. */
    fun synthesize(request: SynthesisRequest): Flow<SpeechChunk> =
        items { raw.synthesize(request) }.map { SpeechChunk.lifted((it as JobItem.Speech).chunk, request.text) }

    /** Loads every model, so that the first turn need not wait. */
    suspend fun preload(onProgress: ((Float) -> Unit)? = null) {
        result(onProgress) { raw.preload() }
    }

    /** Writes a session as an archive to the file at [path]. */
    suspend fun exportSession(session: String, path: String, onProgress: ((Float) -> Unit)? = null): ExportReport =
        (result(onProgress) { raw.exportSession(session, path) } as JobItem.Exported).report

    /** Stores a session from the archive at [path], under its own id or another. */
    suspend fun importSession(path: String, newId: String? = null, onProgress: ((Float) -> Unit)? = null): ImportReport =
        (result(onProgress) { raw.importSession(path, newId) } as JobItem.Imported).report

    /** Reads everything in the store and reports damage. */
    suspend fun verifyStore(onProgress: ((Float) -> Unit)? = null): Verified =
        (result(onProgress) { raw.verifyStore() } as JobItem.Checked).report

    /** Gives the space of deleted data back to the file system. */
    suspend fun compactStore(onProgress: ((Float) -> Unit)? = null) {
        result(onProgress) { raw.compactStore() }
    }

    /** Deletes sessions so that no byte of them is left. */
    suspend fun eraseSessions(sessions: List<String>) {
        result(null) { raw.eraseSessions(sessions) }
    }

    /** Deletes everything in the store so that no byte is left. */
    suspend fun eraseEverything() {
        result(null) { raw.eraseEverything() }
    }

    /** Gives the store another key of 32 bytes, or none. */
    suspend fun rotateStoreKey(key: ByteArray?) {
        result(null) { raw.rotateStoreKey(key) }
    }

    /** Stops computing and closes the store, for an app that goes to the background, and tells what still runs then. */
    fun suspend(deadline: Duration): List<EngineWorker> = edge { raw.`suspend`(deadline.inWholeMilliseconds.toULong()) }

    /** Opens the store again and lets turns go on. */
    fun resume() = edge { raw.resume() }

    /**
     * Closes every session, stores everything, and stops; tells what still runs after [timeout]. Another engine can open
     * the store then. Not in a backend's call.
     */
    fun shutDown(timeout: Duration = 10.seconds): List<EngineWorker> =
        edge { raw.shutDown(timeout.inWholeMilliseconds.toULong()) }.also { work.cancel() }

    /** [shutDown] with its default timeout; does nothing the second time. */
    override fun close() {
        shutDown()
    }

    private fun handle(session: dev.tertulia.generated.TertuliaSession): TertuliaSession =
        TertuliaSession(session, this, texts.computeIfAbsent(session.id()) { ReplyTexts() })

    private fun transcript(item: JobItem) = (item as JobItem.Transcript).transcript
}

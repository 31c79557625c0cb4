package dev.tertulia

import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import java.lang.ref.WeakReference
import java.nio.file.Files
import java.nio.file.Path
import kotlin.io.path.ExperimentalPathApi
import kotlin.io.path.deleteRecursively
import kotlin.test.AfterTest
import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertIs
import kotlin.test.assertTrue

/** Sessions that outlive their engine or their process. */
class StoreTest {
    private val folder: Path = Files.createTempDirectory("tertulia")
    private val options = EngineOptions(store = folder.resolve("talk.redb").toString())

    @OptIn(ExperimentalPathApi::class)
    @AfterTest
    fun delete() = folder.deleteRecursively()

    @Test
    fun `a session goes on after its process was killed`() = runBlocking<Unit> {
        val child = Child("killed", options.store!!)
        val id = child.line()!!
        assertEquals("speaking", child.line())
        child.process.destroyForcibly().waitFor()
        TertuliaEngine.open(options, backends()).use { engine ->
            engine.openSession(id).use { session ->
                assertEquals(true, session.next<TertuliaEventKind.SessionOpened>().resumed)
                session.sendText("¿Seguimos?")
                assertIs<TertuliaEventKind.TurnFinished>(session.until(::isEnd).last().kind)
            }
            val turns = engine.turns(id).turns
            assertEquals(listOf("Hola.", "Otra vez.", "¿Seguimos?"), turns.map { it.userText })
            assertEquals(dev.tertulia.generated.TurnState.Interrupted(InterruptReason.CRASH), turns[1].state)
        }
    }

    @Test
    fun `an archive leaves and comes back, with progress`() = runBlocking<Unit> {
        TertuliaEngine.open(options, backends()).use { engine ->
            val session = engine.createSession(ALOUD.copy(retention = Retention(userAudio = Keep.forever)))
            session.pushAudio(SOUND, RATE)
            session.endUtterance()
            session.until(::isEnd)
            session.close()
            val path = folder.resolve("talk.zip").toString()
            val report = engine.exportSession(session.id, path) { assertTrue(it in 0f..1f) }
            assertEquals(1uL, report.turns)
            assertEquals(Files.size(Path.of(path)).toULong(), report.bytes)
            val id = "018f0000-0000-7000-8000-000000000001"
            assertEquals(id, engine.importSession(path, id).session)
            assertEquals(engine.turns(session.id).turns.single().userText, engine.turns(id).turns.single().userText)
            assertTrue(engine.audio(id, 1u, AudioKind.USER).samples.size >= RATE)
            assertEquals(2uL, engine.verifyStore().sessions)
            engine.deleteSession(session.id)
            val error = assertFailsWith<TertuliaException> { engine.session(session.id) }
            assertEquals(ErrorCode.SESSION_NOT_FOUND, error.code)
            assertFailsWith<TertuliaException> { engine.importSession("/no/such/file") }
            engine.compactStore()
        }
    }

    @Test
    fun `handles never hold the store, reachable or not`() = runBlocking<Unit> {
        val kept = mutableListOf<Any>()
        repeat(5) {
            val engine = TertuliaEngine.open(options, backends())
            val session = engine.createSession(ALOUD)
            session.sendText("Hola.")
            kept.addAll(listOf(engine, session, session.events))
            engine.close()
            engine.close()
            val error = assertFailsWith<TertuliaException> { engine.sessions() }
            assertEquals(ErrorCode.ENGINE_CLOSED, error.code)
        }
        // An engine that nothing refers to any more is gone with its threads.
        val gone = abandoned()
        for (attempt in 1..100) {
            System.gc()
            if (gone.get() == null) break
            Thread.sleep(50)
        }
        assertEquals(null, gone.get())
        var opened: TertuliaEngine? = null
        for (attempt in 1..100) {
            opened = runCatching { TertuliaEngine.open(options, backends()) }.getOrNull()
            if (opened != null) break
            System.gc()
            Thread.sleep(50)
        }
        assertEquals(6, opened!!.sessions().sessions.size)
        opened.close()
        assertEquals(15, kept.size)
    }

    private fun abandoned(): WeakReference<TertuliaEngine> {
        val engine = TertuliaEngine.open(options, backends())
        engine.createSession(ALOUD).sendText("Hola.")
        return WeakReference(engine)
    }

    @Test
    fun `an encrypted store, and a settings' error with its place`() = runBlocking<Unit> {
        val sealed = options.copy(key = ByteArray(32) { 7 })
        TertuliaEngine.open(sealed, backends()).use { it.createSession(TALK).close() }
        assertFailsWith<TertuliaException> { TertuliaEngine.open(options, backends()) }
        TertuliaEngine.open(sealed, backends()).use { assertEquals(1, it.sessions().sessions.size) }
        val error = assertFailsWith<TertuliaException> {
            TertuliaEngine.open(backends = backends()).use { it.createSession(TALK.copy(speed = 9f)) }
        }
        assertEquals(ErrorCode.INVALID_CONFIG, error.code)
        assertContains(error.message!!, "InvalidConfig")
        assertContains(error.detail, "speed")
    }

    @Test
    fun `cancelling the coroutine cancels the job`() = runBlocking<Unit> {
        val begun = CompletableDeferred<Unit>()
        val ended = CompletableDeferred<Unit>()
        val endless = recognizer(before = {
            begun.complete(Unit)
            try {
                awaitCancellation()
            } finally {
                ended.complete(Unit)
            }
        })
        TertuliaEngine.open(backends = backends(endless)).use { engine ->
            val job = launch { engine.transcribe(SOUND, RATE) }
            begun.await()
            job.cancel()
            withTimeout(5_000) { ended.await() }
            assertTrue(job.isCancelled)
        }
    }
}

package dev.tertulia.android

import java.util.concurrent.ConcurrentLinkedQueue
import java.util.concurrent.CopyOnWriteArrayList

/** A microphone that gives a sound in quick time, until it is told otherwise. */
class FakeMicrophone(@Volatile override var rate: Int = 48_000, @Volatile override var channels: Int = 1) : Microphone {
    /** The number that the next reads give in the place of samples. */
    @Volatile var result: Int? = null

    @Volatile var level: Short = 1_000

    @Volatile var isBlocked = false

    @Volatile var isClosed = false

    override fun read(block: ShortArray): Int {
        Thread.sleep(2)
        while (isBlocked && !isClosed) Thread.sleep(5)
        result?.let { return it }
        block.fill(level)
        return block.size
    }

    override fun close() {
        isClosed = true
    }
}

/** A loudspeaker that plays everything at once, or as far as it is told. */
class FakeSpeaker : Speaker {
    val calls = CopyOnWriteArrayList<String>()

    @Volatile var written = 0L

    @Volatile var limit = Long.MAX_VALUE

    @Volatile var result: Int? = null

    override val played get() = minOf(written, limit)

    override fun write(samples: FloatArray, from: Int, count: Int): Int {
        result?.let { return it }
        written += count
        return count
    }

    override fun pause() {
        calls += "pause"
    }

    override fun resume() {
        calls += "resume"
    }

    override fun flush() {
        calls += "flush"
    }

    override fun close() {
        calls += "close"
    }
}

/** Devices in a row: each opening takes the next. */
class FakeDevices : AudioDevices {
    val microphones = ConcurrentLinkedQueue<() -> Microphone>()
    val speakers = CopyOnWriteArrayList<FakeSpeaker>()
    var hasFocus = true
    var limit = Long.MAX_VALUE

    @Volatile var news: AudioNews? = null

    override fun openMicrophone(): Microphone = (microphones.poll() ?: { throw IllegalStateException("none is left") })()

    override fun openSpeaker(rate: Int): Speaker = FakeSpeaker().also {
        it.limit = limit
        speakers += it
    }

    override fun begin(news: AudioNews): Boolean {
        this.news = news
        return hasFocus
    }

    override fun end() {
        news = null
    }
}

/** A session that records what it is told. */
class RecordingSession : AudioSession {
    val calls = CopyOnWriteArrayList<String>()

    /** Calls without those of the same format one after the other. */
    val changes get() = calls.toList().fold(listOf<String>()) { all, call -> if (all.lastOrNull() == call) all else all + call }

    override fun pushAudio(samples: ShortArray, count: Int, channels: Int, rate: Int) {
        check(count > 0 && count % channels == 0)
        calls += "audio $rate x$channels"
    }

    override fun inputInterrupted() {
        calls += "interrupted"
    }

    override fun inputResumed() {
        calls += "resumed"
    }

    override fun played(turn: ULong, samplesTotal: ULong) {}
}

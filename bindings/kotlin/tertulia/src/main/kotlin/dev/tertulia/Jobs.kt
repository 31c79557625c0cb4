/** Jobs as suspending calls and flows: cancelling the coroutine cancels the job. */
package dev.tertulia

import dev.tertulia.generated.EngineJob
import dev.tertulia.generated.JobItem
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.asExecutor
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.launch
import kotlinx.coroutines.suspendCancellableCoroutine
import kotlin.coroutines.resume
import kotlin.coroutines.resumeWithException
import kotlin.time.Duration.Companion.milliseconds

/** The items of a job, which is begun when the flow is collected. */
internal fun items(start: () -> EngineJob): Flow<JobItem> = flow {
    edge(start).use { job ->
        try {
            while (true) emit(job.await() ?: break)
        } finally {
            job.cancel()
        }
    }
}

/** The one result of a job; [onProgress] gets the share that is done every 100 ms. */
internal suspend fun result(onProgress: ((Float) -> Unit)?, start: () -> EngineJob): JobItem = coroutineScope {
    edge(start).use { job ->
        val progress = onProgress?.let { tell ->
            launch {
                while (true) {
                    delay(100.milliseconds)
                    tell(job.progress())
                }
            }
        }
        try {
            job.await() ?: throw TertuliaException(ErrorCode.INTERNAL, "a job without a result")
        } finally {
            job.cancel()
            progress?.cancel()
        }
    }
}

/** Works on a thread for blocking work. A cancelled caller need not wait for the piece under way. */
private suspend fun EngineJob.await(): JobItem? = suspendCancellableCoroutine { caller ->
    caller.invokeOnCancellation { cancel() }
    Dispatchers.IO.asExecutor().execute {
        runCatching { edge { next() } }.fold(caller::resume, caller::resumeWithException)
    }
}

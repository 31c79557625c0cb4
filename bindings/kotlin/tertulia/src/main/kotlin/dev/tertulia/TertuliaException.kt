package dev.tertulia

import java.nio.charset.CharacterCodingException
import dev.tertulia.generated.TertuliaException as Raw

/**
 * The error of a call: [code] tells errors apart. A backend of the host's may throw one, too.
 *
 * @property number the stable number of the code, also where this version does not know it
 * @property detail context and causes, for logs; no words of the user
 * @property isRetryable true where the same call can succeed later
 */
class TertuliaException internal constructor(
    val code: ErrorCode,
    val number: Int,
    val detail: String,
    val isRetryable: Boolean,
    cause: Throwable?,
) : Exception("${name(code)} ($number): $detail", cause) {
    constructor(code: ErrorCode, detail: String, cause: Throwable? = null) :
        this(code, code.number().toInt(), detail, false, cause)

    internal fun lowered() = Raw.Failed(code, number.toUShort(), detail, isRetryable)

    internal companion object {
        fun lifted(error: Raw.Failed) =
            TertuliaException(error.code, error.number.toInt(), error.detail, error.retryable, error)

        /** The name in the table of errors, such as `HostCallback`. */
        private fun name(code: ErrorCode) =
            code.name.split('_').joinToString("") { it.lowercase().replaceFirstChar(Char::uppercase) }
    }
}

/** Makes a call into the library, with its errors as [TertuliaException]. */
internal inline fun <T> edge(call: () -> T): T =
    try {
        call()
    } catch (error: Raw.Failed) {
        throw TertuliaException.lifted(error)
    } catch (error: CharacterCodingException) {
        throw TertuliaException(ErrorCode.INVALID_ARGUMENT, "text is no valid UTF-16", error)
    }

/** Answers a call of the library's, with everything thrown as an error that crosses to it. */
internal inline fun <T> callback(answer: () -> T): T =
    try {
        answer()
    } catch (error: Throwable) {
        throw lowered(error)
    }

/** A code of the host's own choice, or HostCallback with the exception's text. */
internal fun lowered(error: Throwable): Raw.Failed =
    ((error as? TertuliaException) ?: TertuliaException(ErrorCode.HOST_CALLBACK, textOf(error), error)).lowered()

internal fun textOf(error: Throwable): String = generateSequence(error) { it.cause }.take(5).joinToString(": ")

//! How whoever started this process asks it to stop.

use tokio::signal::unix::{SignalKind, signal};

/// Takes the signals that end this program from now on; the future ends with the first of them. Whoever says "ready"
/// without having done this can still be killed by a signal that should have been an orderly end.
pub(crate) fn stop_signal() -> std::io::Result<impl Future<Output = &'static str>> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! { _ = term.recv() => "SIGTERM", _ = int.recv() => "SIGINT" }
    })
}

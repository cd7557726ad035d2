//! How whoever started this process asks it to stop.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Takes the signals that end this program from now on; the future ends with the first of them. Whoever says "ready"
/// without having done this can still be killed by a signal that should have been an orderly end.
pub(crate) fn stop_signal() -> std::io::Result<impl Future<Output = &'static str>> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! { _ = term.recv() => "SIGTERM", _ = int.recv() => "SIGINT" }
    })
}

/// The same of a run that somebody watches: it ends with the terminal, too, and by Ctrl-\\. Under `nohup` it goes on.
pub(crate) fn stop_signal_by_hand() -> std::io::Result<impl Future<Output = &'static str>> {
    let stop = stop_signal()?;
    let mut quit = signal(SignalKind::quit())?;
    let mut hangup = if ignores_hangup() { None } else { Some(signal(SignalKind::hangup())?) };
    Ok(async move {
        tokio::select! {
            why = stop => why,
            _ = quit.recv() => "SIGQUIT",
            () = received(hangup.as_mut()) => "SIGHUP",
        }
    })
}

async fn received(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// Was this process started with SIGHUP ignored? Taking the signal would undo that.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

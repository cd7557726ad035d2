//! A git that is read while it writes. Nothing is kept here of what it says, and it is killed when its reader has enough: what
//! it has to say may be larger than memory.

use super::run::{Call, Output, group_of, kill};
use orch_ports::Fault;
use std::ops::ControlFlow;
use std::process::Stdio;
use tokio::io::AsyncReadExt;

/// Most that is read at a time of what is not kept, bytes.
const PIECE: usize = 64 * 1024;

/// How the reading of what a git prints ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It said all it had to say.
    Whole,
    /// The reader had enough.
    Enough,
    /// Its time was over; it may have had more to say.
    Late,
}

impl Call<'_> {
    /// Runs it and hands over what it prints piece by piece, until `take` breaks off: it is killed then. Nothing but a piece
    /// is kept here, however much it has to say. A failure is a fault; to be late is not.
    pub(super) async fn pieces(self, mut take: impl FnMut(&[u8]) -> ControlFlow<()> + Send) -> Result<End, Fault> {
        let what = self.args[0].to_string_lossy().into_owned();
        let lost = |e: &std::io::Error| Fault::transient(format!("git {what}: {e}"));
        let mut child = self.begin(Stdio::null())?;
        let group = group_of(&child);
        let (Some(mut stdout), Some(mut stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(Fault::bug("a git without outputs"));
        };
        let mut complaint = Vec::new();
        let read = async {
            let mut piece = vec![0; PIECE];
            loop {
                let length = stdout.read(&mut piece).await?;
                if length == 0 {
                    return Ok(End::Whole);
                }
                if take(&piece[..length]).is_break() {
                    kill(group);
                    return Ok(End::Enough);
                }
            }
        };
        let hear = async {
            (&mut stderr).take(PIECE as u64).read_to_end(&mut complaint).await?;
            tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await
        };
        let end = if let Ok((end, heard)) = tokio::time::timeout(self.limit, async { tokio::join!(read, hear) }).await {
            heard.map_err(|e| lost(&e))?;
            end.map_err(|e: std::io::Error| lost(&e))?
        } else {
            kill(group);
            End::Late
        };
        let status = child.wait().await.map_err(|e| lost(&e))?.code();
        if end == End::Whole && status != Some(0) {
            return Err(Output { status, stdout: Vec::new(), stderr: complaint }.fault(&what));
        }
        Ok(end)
    }
}

#[cfg(test)]
mod tests {
    use super::super::run::GitRun;
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn a_git_that_never_stops_talking_is_killed_as_soon_as_that_is_enough() {
        let tmp = tempfile::tempdir().unwrap();
        crate::test_program::program(tmp.path(), "git", "yes complaint >&2 &\nexec yes answer");
        let git = GitRun::found_in(&tmp.path().join("home"), tmp.path());
        let mut read = 0;
        let take = |piece: &[u8]| {
            assert!(piece.len() <= PIECE);
            read += piece.len();
            if read < 1 << 20 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        assert_eq!(git.call(None, "diff-tree").pieces(take).await.unwrap(), End::Enough);
        assert!(read < (1 << 20) + PIECE);
        let late = git.call(None, "diff-tree").within(Duration::from_millis(200)).pieces(|_| ControlFlow::Continue(()));
        assert_eq!(late.await.unwrap(), End::Late);
        crate::test_program::program(tmp.path(), "git", "echo half; echo 'fatal: not a git repository' >&2; exit 128");
        let fault = git.call(None, "diff-tree").pieces(|_| ControlFlow::Continue(())).await.unwrap_err();
        assert!(fault.text.contains("not a git repository"), "{fault}");
    }
}

//! Files whose being there means that nothing may be asked of a model. They are looked for before every request, so that a
//! pause holds from the next request on, whoever else is alive. A request that came meanwhile waits; it is not answered.

use std::path::PathBuf;
use std::time::Duration;

/// Between two looks while something is paused. Far below the second in which a pause has to hold.
pub const LOOK: Duration = Duration::from_millis(100);

/// The files of one run.
#[derive(Clone, Debug, Default)]
pub struct Pause {
    files: Vec<PathBuf>,
}

impl Pause {
    /// These.
    pub fn new(files: Vec<PathBuf>) -> Self {
        Self { files }
    }

    /// Is something paused? A file that cannot be looked for (no permission) is not there.
    pub fn is_on(&self) -> bool {
        self.files.iter().any(|file| file.symlink_metadata().is_ok())
    }

    /// Returns when nothing is.
    pub async fn is_over(&self) {
        while self.is_on() {
            tokio::time::sleep(LOOK).await;
        }
    }
}

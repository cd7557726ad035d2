//! Programs for stories: a shell script under the name of the program it plays.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Puts a program into a directory and says what `PATH` finds it. Another process writes it: were the file open for
/// writing here, a program that another test starts at that moment would have it open too, and "text file busy" comes of
/// it.
pub(crate) fn program(dir: &Path, name: &str, script: &str) -> String {
    let mut writer = Command::new("sh")
        .args(["-c", "cat > \"$1\" && chmod 755 \"$1\"", "sh"])
        .arg(dir.join(name))
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    writer.stdin.take().unwrap().write_all(format!("#!/bin/sh\n{script}\n").as_bytes()).unwrap();
    assert!(writer.wait().unwrap().success());
    format!("{}:/usr/bin:/bin", dir.display())
}

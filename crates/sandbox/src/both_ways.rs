//! Bytes between two streams, both ways, until each side has said all.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;

/// A stream whose two directions end apart.
pub(crate) trait Stream: Read + Write + Send + Sized + 'static {
    fn again(&self) -> io::Result<Self>;
    fn said_all(&self) -> io::Result<()>;
}

impl Stream for TcpStream {
    fn again(&self) -> io::Result<Self> {
        self.try_clone()
    }
    fn said_all(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

impl Stream for UnixStream {
    fn again(&self) -> io::Result<Self> {
        self.try_clone()
    }
    fn said_all(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

/// Returns when both directions are at their end. A direction that breaks off is at its end.
pub(crate) fn both_ways(mut one: impl Stream, mut other: impl Stream) -> io::Result<()> {
    let (mut from, mut to) = (one.again()?, other.again()?);
    let up = std::thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.said_all();
    });
    let _ = io::copy(&mut other, &mut one);
    let _ = one.said_all();
    let _ = up.join();
    Ok(())
}

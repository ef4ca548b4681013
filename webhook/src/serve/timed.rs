//! A connection that gives up on a peer that stalls.
//!
//! hyper has a timer for request heads, but it also runs between requests: two seconds there would cut the
//! apiserver's kept connections, and a review sent at that moment would be lost. So the time is taken here, where it
//! is known whether a head has begun.

use super::Limits;
use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

/// What a connection waits for. Shared between the stream, which sees bytes, and the service, which sees requests.
///
/// A counter lies above the phase, so that each phase entered is told from the one of the same name before it.
/// Stream and service run in the same task: the atomic only satisfies `Send`.
#[derive(Clone, Debug)]
pub(super) struct Pulse(Arc<AtomicU32>);

/// A stream whose reads and writes fail once its peer has kept it waiting for too long.
///
/// The part of a head that comes along with the request before it is not seen to begin; until more of it comes, the
/// connection counts as one at rest.
#[derive(Debug)]
pub(super) struct Timed<T> {
    io: T,
    pulse: Pulse,
    header: Duration,
    idle: Duration,
    sleep: Pin<Box<Sleep>>,
    /// The value of the pulse that `sleep` was set for.
    armed: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// A head has begun, or the first one is due.
    Head = 0,
    /// A request is being answered; its own time limits apply.
    Busy = 1,
    /// An answer is on its way out, or nothing is.
    Idle = 2,
}

const PHASE_BITS: u32 = 2;

// === impl Pulse ===

impl Pulse {
    fn new() -> Self {
        Self(Arc::new(AtomicU32::new(Phase::Head as u32)))
    }

    /// A request's head is complete.
    pub(super) fn busy(&self) {
        self.enter(Phase::Busy);
    }

    /// A request's answer is made.
    pub(super) fn idle(&self) {
        self.enter(Phase::Idle);
    }

    fn enter(&self, phase: Phase) {
        let turn = (self.0.load(Relaxed) >> PHASE_BITS).wrapping_add(1);
        self.0.store(turn << PHASE_BITS | phase as u32, Relaxed);
    }

    fn phase(&self) -> Phase {
        match self.0.load(Relaxed) & ((1 << PHASE_BITS) - 1) {
            0 => Phase::Head,
            1 => Phase::Busy,
            _ => Phase::Idle,
        }
    }
}

// === impl Timed ===

impl<T> Timed<T> {
    pub(super) fn new(io: T, limits: &Limits) -> Self {
        let Limits { header, idle, .. } = *limits;
        let pulse = Pulse::new();
        let armed = pulse.0.load(Relaxed);
        Self { io, pulse, header, idle, sleep: Box::pin(sleep(header)), armed }
    }

    pub(super) fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// Sees to it that the task wakes when time is up, and says whether it is.
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let (limit, kind) = match self.pulse.phase() {
            Phase::Busy => return Ok(()),
            Phase::Head => (self.header, io::ErrorKind::TimedOut),
            // Of another kind, because nobody is to blame.
            Phase::Idle => (self.idle, io::ErrorKind::ConnectionAborted),
        };
        let now = self.pulse.0.load(Relaxed);
        if self.armed != now {
            self.armed = now;
            self.sleep.as_mut().reset(Instant::now() + limit);
        }
        match self.sleep.as_mut().poll(cx) {
            Poll::Ready(()) => Err(kind.into()),
            Poll::Pending => Ok(()),
        }
    }

    /// Passes on what is done; what is not done may have taken too long.
    fn bounded<R>(&mut self, result: Poll<io::Result<R>>, cx: &mut Context<'_>) -> Poll<io::Result<R>> {
        match result {
            Poll::Ready(done) => Poll::Ready(done),
            Poll::Pending => self.check(cx).map_or_else(|error| Poll::Ready(Err(error)), |()| Poll::Pending),
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Timed<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.io).poll_read(cx, buffer);
        if buffer.filled().len() > before && self.pulse.phase() == Phase::Idle {
            self.pulse.enter(Phase::Head);
        }
        self.bounded(result, cx)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Timed<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.bounded(result, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.bounded(result, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.io).poll_flush(cx);
        // hyper does not read again after an answer until bytes arrive, so this is where the rest begins.
        self.check(cx)?;
        self.bounded(result, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.io).poll_shutdown(cx);
        self.bounded(result, cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
        time::timeout,
    };

    const HEADER: Duration = Duration::from_secs(2);
    const IDLE: Duration = Duration::from_secs(120);

    fn pair() -> (DuplexStream, Timed<DuplexStream>) {
        let (near, far) = duplex(64);
        let limits = Limits { header: HEADER, idle: IDLE, ..Limits::default() };
        (near, Timed::new(far, &limits))
    }

    /// How long the read took, and how it ended.
    async fn read(stream: &mut Timed<DuplexStream>) -> (Duration, io::Result<u8>) {
        let start = Instant::now();
        let byte = stream.read_u8().await;
        (start.elapsed(), byte)
    }

    #[tokio::test(start_paused = true)]
    async fn a_first_head_that_never_comes_is_waited_for_as_long_as_a_head() {
        let (_peer, mut stream) = pair();
        let (took, result) = read(&mut stream).await;
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(took.as_secs(), HEADER.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_trickles_in_gets_no_more_time() {
        let (mut peer, mut stream) = pair();
        let start = Instant::now();
        let trickle = async {
            while peer.write_u8(b'x').await.is_ok() {
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        };
        let reads = async { while read(&mut stream).await.1.is_ok() {} };
        tokio::select! { () = trickle => {} () = reads => {} }
        assert_eq!(start.elapsed().as_secs(), HEADER.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn rest_between_two_requests_is_longer_and_starts_anew_each_time() {
        let (mut peer, mut stream) = pair();
        for _ in 0..3 {
            peer.write_u8(b'x').await.unwrap();
            read(&mut stream).await.1.unwrap();
            stream.pulse.busy();
            stream.pulse.idle();
            stream.flush().await.unwrap();
            assert!(timeout(IDLE - Duration::from_secs(1), stream.read_u8()).await.is_err());
        }
        let (took, result) = read(&mut stream).await;
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
        assert!(took <= Duration::from_secs(2), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_second_head_is_timed_from_its_first_byte() {
        let (mut peer, mut stream) = pair();
        stream.pulse.busy();
        stream.pulse.idle();
        assert!(timeout(Duration::from_secs(60), stream.read_u8()).await.is_err());
        peer.write_u8(b'x').await.unwrap();
        read(&mut stream).await.1.unwrap();
        let (took, result) = read(&mut stream).await;
        assert!(result.is_err());
        assert_eq!(took.as_secs(), HEADER.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_timed_while_a_request_is_answered() {
        let (_peer, mut stream) = pair();
        stream.pulse.busy();
        assert!(timeout(IDLE * 10, stream.read_u8()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_nobody_reads_is_given_up() {
        let (_peer, mut stream) = pair();
        stream.pulse.busy();
        stream.pulse.idle();
        let start = Instant::now();
        let error = stream.write_all(&[0; 1024]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
        assert_eq!(start.elapsed().as_secs(), IDLE.as_secs());
    }
}

//! Connections that are kept for the next request.
//!
//! The one that was used last is used first, so that no more are kept than are needed. Who takes one looks whether it has
//! ended meanwhile.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::stream::Stream;

/// How long an unused connection is kept. Providers close theirs after a minute or more. Closing first avoids sending a
/// request on a connection that is just being closed.
const IDLE_TIME: Duration = Duration::from_secs(50);

/// The unused connections to one provider.
#[derive(Debug)]
pub(super) struct Pool {
    /// From the longest unused to the last used.
    idle: Mutex<VecDeque<Idle>>,
    /// The most that are kept.
    most: usize,
    bell: Arc<Bell>,
}

#[derive(Debug)]
struct Idle {
    stream: Stream,
    since: Instant,
}

/// Wakes who closes unused connections, if that one sleeps without a clock because there were none.
#[derive(Debug, Default)]
pub(super) struct Bell {
    is_needed: AtomicBool,
    rung: Notify,
}

impl Bell {
    /// From now on a connection that is put into a pool rings.
    pub(super) fn wait(&self) {
        self.is_needed.store(true, Ordering::Release);
    }

    /// Returns when a connection has been put into a pool since [`wait`](Self::wait).
    pub(super) async fn rung(&self) {
        self.rung.notified().await;
    }

    fn ring(&self) {
        if self.is_needed.load(Ordering::Acquire) && self.is_needed.swap(false, Ordering::AcqRel) {
            self.rung.notify_one();
        }
    }
}

impl Pool {
    /// Keeps at most so many. The first one that is put in rings the `bell`, if somebody waits for it.
    pub(super) fn new(most: usize, bell: Arc<Bell>) -> Self {
        Self { idle: Mutex::default(), most, bell }
    }

    /// The connection that was used last, if one is there that can be used still.
    pub(super) fn take(&self, now: Instant) -> Option<Stream> {
        loop {
            // In a line of its own: closing a connection must not keep the others waiting.
            let last = self.lock().pop_back();
            let Idle { mut stream, since } = last?;
            if now.saturating_duration_since(since) < IDLE_TIME && stream.is_quiet() {
                return Some(stream);
            }
        }
    }

    /// Keeps a connection on which nothing is under way.
    pub(super) fn put(&self, stream: Stream) {
        let idle = Idle { stream, since: Instant::now() };
        let surplus = {
            let mut all = self.lock();
            all.push_back(idle);
            (all.len() > self.most).then(|| all.pop_front())
        };
        drop(surplus);
        self.bell.ring();
    }

    /// Closes what has been unused for too long. Returns when the next one will have been.
    pub(super) fn close_expired(&self, now: Instant) -> Option<Instant> {
        loop {
            let expired = {
                let mut all = self.lock();
                let end = all.front()?.since + IDLE_TIME;
                if end > now {
                    return Some(end);
                }
                all.pop_front()
            };
            drop(expired);
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// A connection, and its other end.
    async fn connection() -> (Stream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Stream::Plain(near), listener.accept().await.unwrap().0)
    }

    fn pool() -> Pool {
        Pool::new(2, Arc::default())
    }

    fn port(stream: &Stream) -> u16 {
        let Stream::Plain(stream) = stream else { panic!("plain") };
        stream.local_addr().unwrap().port()
    }

    /// Whether the other end sees that the connection is closed.
    async fn is_closed(far: &mut TcpStream) -> bool {
        use tokio::io::AsyncReadExt as _;
        let read = tokio::time::timeout(Duration::from_millis(1), far.read_u8());
        read.await.is_ok_and(|read| read.is_err())
    }

    #[tokio::test]
    async fn the_last_used_is_used_first() {
        let pool = pool();
        let (first, _first_end) = connection().await;
        let (last, _last_end) = connection().await;
        let ports = (port(&last), port(&first));
        pool.put(first);
        pool.put(last);
        let taken = || pool.take(Instant::now()).map(|stream| port(&stream));
        assert_eq!((taken().unwrap(), taken().unwrap(), taken()), (ports.0, ports.1, None));
    }

    #[tokio::test]
    async fn what_has_ended_or_says_something_is_not_used() {
        for says in ["", "HTTP/1.1 408 Request Timeout\r\n\r\n"] {
            let pool = pool();
            let (quiet, _quiet_end) = connection().await;
            let (near, mut far) = connection().await;
            let expected = port(&quiet);
            pool.put(quiet);
            let Stream::Plain(near) = near else { panic!("plain") };
            match says {
                "" => drop(far),
                says => far.write_all(says.as_bytes()).await.unwrap(),
            }
            near.readable().await.unwrap();
            pool.put(Stream::Plain(near));
            assert_eq!(pool.take(Instant::now()).map(|stream| port(&stream)), Some(expected), "{says:?}");
        }
    }

    #[tokio::test]
    async fn nothing_is_kept_for_ever_or_without_limit() {
        let pool = pool();
        let (near, mut far) = connection().await;
        pool.put(near);
        let since = pool.lock().front().unwrap().since;
        assert_eq!(pool.close_expired(since + IDLE_TIME / 2), Some(since + IDLE_TIME));
        assert!(!is_closed(&mut far).await);
        assert_eq!(pool.close_expired(since + IDLE_TIME), None);
        assert!(is_closed(&mut far).await, "without a request that would look for it");

        let (near, mut far) = connection().await;
        pool.put(near);
        assert!(pool.take(Instant::now() + IDLE_TIME).is_none(), "too old to be used");
        assert!(is_closed(&mut far).await);

        let (near, mut far) = connection().await;
        pool.put(near);
        let others = [connection().await, connection().await];
        let ends = others.map(|(near, far)| {
            pool.put(near);
            far
        });
        assert!(is_closed(&mut far).await, "the longest unused has to go");
        assert_eq!((pool.lock().len(), ends.len()), (2, 2));
    }

    #[tokio::test]
    async fn only_who_waits_is_woken() {
        let bell = Arc::<Bell>::default();
        let pool = Pool::new(2, bell.clone());
        pool.put(connection().await.0);
        let is_rung = || tokio::time::timeout(Duration::from_millis(1), bell.rung());
        assert!(is_rung().await.is_err(), "nobody has asked");
        bell.wait();
        pool.put(connection().await.0);
        assert!(is_rung().await.is_ok());
        pool.put(connection().await.0);
        assert!(is_rung().await.is_err(), "once is enough");
    }
}

//! How long a request head may take: hyper has one clock for a head and for the silence before it, here they are two.
//!
//! hyper starts a sleep when it waits for a head, and polls it whenever it has read and the head is not whole. So the
//! sleep that it gets from here begins as the silence between two requests, and becomes the head's once a byte of it
//! has been read. The first head of a connection has its own time from the start.
//!
//! A head of which a part came together with the request before has the time of the silence until more of it comes:
//! nothing outside of hyper can tell that part from the body before it.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};
use tokio::time;

use crate::time::Alarm;

/// Whether something of a head has been read; shared by a socket and its [`HeadTimer`].
#[derive(Clone, Debug, Default)]
pub(super) struct Progress(Arc<AtomicBool>);

impl Progress {
    /// Takes note of what has been read. Line ends before a head are no part of it.
    pub(super) fn read(&self, bytes: &[u8]) {
        if bytes.iter().any(|byte| !matches!(byte, b'\r' | b'\n')) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    fn forget(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    fn has_begun(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The timer of one connection, for `header_read_timeout` alone.
pub(super) struct HeadTimer {
    progress: Progress,
    head: Duration,
    silence: Duration,
    is_first: AtomicBool,
    /// One for all heads: most come long before it rings, and a timer that is set anew for each costs more than a head.
    alarm: Arc<Mutex<Alarm>>,
}

impl HeadTimer {
    /// A head may take as long as `head`; before each but the first there may be as much `silence`.
    pub(super) fn new(progress: Progress, head: Duration, silence: Duration) -> Self {
        Self { progress, head, silence, is_first: AtomicBool::new(true), alarm: Arc::default() }
    }
}

impl Timer for HeadTimer {
    fn sleep(&self, _: Duration) -> Pin<Box<dyn Sleep>> {
        self.progress.forget();
        let is_first = self.is_first.swap(false, Ordering::Relaxed);
        let limit = if is_first { self.head } else { self.silence };
        let silent = (!is_first).then(|| self.progress.clone());
        let deadline = time::Instant::now() + limit;
        Box::pin(HeadSleep { silent, head: self.head, deadline, alarm: self.alarm.clone() })
    }

    fn sleep_until(&self, _: Instant) -> Pin<Box<dyn Sleep>> {
        self.sleep(self.head)
    }

    fn now(&self) -> Instant {
        time::Instant::now().into_std()
    }
}

/// Completes when the silence, or the head that has ended it, has taken too long.
struct HeadSleep {
    /// Until the head has begun.
    silent: Option<Progress>,
    head: Duration,
    deadline: time::Instant,
    alarm: Arc<Mutex<Alarm>>,
}

impl Sleep for HeadSleep {}

impl Future for HeadSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.silent.take_if(|progress| progress.has_begun()).is_some() {
            this.deadline = time::Instant::now() + this.head;
        }
        this.alarm.lock().unwrap_or_else(PoisonError::into_inner).poll_reached(context, this.deadline)
    }
}

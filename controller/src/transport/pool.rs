//! Buffers to read into. Their number bounds what all readers together hold;
//! a reader without a buffer waits its turn in order of arrival.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What one read returns at most.
pub const CHUNK: usize = bgp::io::READ;

/// Chunks under way over all connections: 4 MiB, some milliseconds of work for
/// the loop, so that more would only wait longer.
const BUFFERS: usize = 64;

/// A pool of buffers; clones share it.
#[derive(Clone, Debug)]
pub struct Pool {
    free: Arc<Mutex<Vec<Box<[u8]>>>>,
    places: Arc<Semaphore>,
}

impl Default for Pool {
    fn default() -> Self {
        Self { free: Arc::default(), places: Arc::new(Semaphore::new(BUFFERS)) }
    }
}

impl Pool {
    /// Waits for a buffer of [`CHUNK`] bytes. Cancel-safe: the place in the
    /// queue is lost, nothing else.
    pub(super) async fn take(&self) -> Buffer {
        // The semaphore is never closed.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let bytes = free.unwrap_or_else(|| vec![0; CHUNK].into());
        Buffer { bytes, pool: self.clone(), _place: place }
    }
}

/// A buffer that goes back to its pool when it is dropped.
pub(super) struct Buffer {
    bytes: Box<[u8]>,
    pool: Pool,
    _place: Option<OwnedSemaphorePermit>,
}

impl Buffer {
    /// The whole buffer, to read into.
    pub(super) fn space(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// The first `len` bytes as a chunk; its drop lets the reader go on.
    pub(super) fn filled(self, len: usize, turn: OwnedSemaphorePermit) -> Chunk {
        Chunk { store: Store::Pooled(self), len, _turn: Some(turn) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        self.pool.free.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
    }
}

/// Bytes as one read returned them. The connection's next read waits until this
/// is dropped: the loop's pace is the peer's pace.
pub struct Chunk {
    store: Store,
    len: usize,
    _turn: Option<OwnedSemaphorePermit>,
}

enum Store {
    Pooled(Buffer),
    Owned(Vec<u8>),
}

impl From<Vec<u8>> for Chunk {
    fn from(bytes: Vec<u8>) -> Self {
        Self { len: bytes.len(), store: Store::Owned(bytes), _turn: None }
    }
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.store {
            Store::Pooled(buffer) => &buffer.bytes[..self.len],
            Store::Owned(bytes) => bytes,
        }
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chunk({} bytes)", self.len)
    }
}

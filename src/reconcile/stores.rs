//! The stores that a command opened. Their single owner closes them when the command has ended: with a result, a
//! failure or a signal, even if other code still shares a store.

use crate::io::store::Store;
use crate::model::failure::Failure;
use camino::Utf8Path;
use std::sync::{Arc, Mutex, PoisonError};

/// The open stores.
#[derive(Clone, Default)]
pub struct Stores(Arc<Mutex<Vec<Arc<Store>>>>);

impl Stores {
    /// Opens a store for writing, as [`Store::open`] does.
    pub async fn open(&self, url: &str, directory: &Utf8Path) -> Result<Arc<Store>, Failure> {
        Ok(self.keep(Store::open(url, directory).await?))
    }

    /// Opens a store for writing if there is one, as [`Store::open_existing`] does.
    pub async fn open_existing(&self, url: &str, directory: &Utf8Path) -> Result<Option<Arc<Store>>, Failure> {
        Ok(Store::open_existing(url, directory).await?.map(|store| self.keep(store)))
    }

    /// Opens a store for reading, as [`Store::read`] does.
    pub async fn read(&self, url: &str, directory: &Utf8Path) -> Result<Option<Arc<Store>>, Failure> {
        Ok(Store::read(url, directory).await?.map(|store| self.keep(store)))
    }

    fn keep(&self, store: Store) -> Arc<Store> {
        let store = Arc::new(store);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&store));
        store
    }

    /// Closes all stores.
    pub async fn close(&self) {
        let open = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for store in open {
            store.close().await;
        }
    }
}

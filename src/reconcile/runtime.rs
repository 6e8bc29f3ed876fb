//! The threads and the memory of a run. Starts no thread for work without IO.

use crate::io::scratch;
use crate::model::ending::Ending;
use crate::model::failure::{Failure, Reason};
use crate::reconcile::context::Context;

pub use crate::io::process::limit_memory;

/// Runs work that needs IO on its own threads, and closes the stores that the work opened.
///
/// # Errors
/// `CommandFailed` if no threads can be started.
pub fn block_on(context: &Context, run: impl Future<Output = Ending>) -> Result<Ending, Failure> {
    let workers = std::thread::available_parallelism().map_or(2, |cores| cores.get().clamp(2, 4));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Reason::CommandFailed, "Threads cannot be started").because(error))?;
    let ending = runtime.block_on(async {
        scratch::sweep();
        let ending = run.await;
        context.stores.close().await;
        ending
    });
    // An unanswered question must not keep the process alive.
    runtime.shutdown_background();
    Ok(ending)
}

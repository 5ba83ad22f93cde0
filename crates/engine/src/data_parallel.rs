//! Images of a batch at the same time, instead of the parts of one image.
//!
//! Threads that share an image wait for each other after every layer, and have little to do in a small one: on two cores the
//! small network scores 1.7 times as many images in this way, ImagiNet's 1.15 times.

use std::ffi::c_int;

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use rayon::{ThreadPool, ThreadPoolBuilder};

/// Images at a time, at most: each holds its layers' outputs.
const MOST: usize = 8;

unsafe extern "C" {
    /// libgomp's, for regions that the calling thread begins.
    fn omp_set_num_threads(threads: c_int);
}

/// Threads that keep libtorch's caches, which are each thread's own.
#[derive(Debug)]
pub(crate) struct DataParallel {
    pool: ThreadPool,
}

impl DataParallel {
    /// With so many of libtorch's threads in all; `None` where they are too few, or can't be started.
    pub(crate) fn new(threads: usize) -> Option<DataParallel> {
        let images = threads.min(MOST);
        if images < 2 {
            return None;
        }
        let each = c_int::try_from(threads / images).unwrap_or(1);
        let begin = move |_| {
            // libtorch sets a thread's number when it is first asked for.
            let _ = tch::get_num_threads();
            // SAFETY: it takes any number above zero, and concerns this thread alone.
            unsafe { omp_set_num_threads(each) };
        };
        let builder = ThreadPoolBuilder::new().num_threads(images).thread_name(|number| format!("inference {number}"));
        builder
            .start_handler(begin)
            .build()
            .inspect_err(|error| tracing::warn!(%error, "the images of a batch are scored one after the other"))
            .ok()
            .map(|pool| DataParallel { pool })
    }

    /// How many of a batch's images are computed so: whole rounds, in which every thread has one.
    pub(crate) fn of_batch(&self, images: usize) -> usize {
        images - images % self.pool.current_num_threads()
    }

    /// What becomes of each, in their order.
    pub(crate) fn map<T: Sync, R: Send>(&self, items: &[T], work: impl Fn(&T) -> R + Sync + Send) -> Vec<R> {
        self.pool.install(|| items.par_iter().map(work).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_rounds_are_shared_out_and_one_thread_shares_nothing() {
        assert!(DataParallel::new(1).is_none());
        for (threads, images, shared) in [(2, 1, 0), (2, 5, 4), (3, 8, 6), (4, 3, 0), (32, 8, 8), (32, 20, 16)] {
            assert_eq!(DataParallel::new(threads).unwrap().of_batch(images), shared, "{threads} {images}");
        }
    }

    #[test]
    fn answers_come_in_order_and_each_thread_has_its_share_of_libtorchs() {
        let parallel = DataParallel::new(16).unwrap();
        let items: Vec<usize> = (0..64).collect();
        let found = parallel.map(&items, |item| (*item, tch::get_num_threads()));
        assert_eq!(found, items.iter().map(|item| (*item, 2)).collect::<Vec<_>>());
    }
}

//! Its jobs are alone in any case.

fn main() {
    let queue = concourse::main_queue();
    queue.barrier_async(|| ());
    queue.barrier_sync(|| ());
}

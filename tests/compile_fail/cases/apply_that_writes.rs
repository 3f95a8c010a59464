//! Nor may two calls write at the same time.

use concourse::Queue;

fn main() {
    let mut sum = 0;
    Queue::concurrent("apply").apply(4, |n| sum += n);
}

//! A serial queue in a dozen lines: order, borrowing, results.

use concourse::Queue;

fn main() {
    let queue = Queue::serial("com.example.hello");
    for word in ["hello", "from", "a", "queue"] {
        queue.exec_async(move || println!("{word}"));
    }
    // A sync call runs after everything before it, and may borrow from this stack.
    let words = vec!["these", "words", "stay", "mine"];
    let letters = queue.exec_sync(|| words.iter().map(|word| word.len()).sum::<usize>());
    println!("{letters} letters in {words:?}");
}

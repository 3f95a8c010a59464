//! Permits, for which futures of another executor wait in one line with threads.

use concourse::Permit;
use concourse::Runtime;
use concourse::Semaphore;
use concourse_interop::Peer;
use concourse_interop::before;
use concourse_interop::eventually;
use concourse_interop::under_each_peer;
use futures_lite::future::yield_now;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::task::Context;
use std::task::Waker;

under_each_peer! {
    threads_and_futures_are_served_in_the_order_in_which_they_came
    a_future_that_has_lost_a_race_leaves_the_line
    a_permit_that_has_reached_a_dropped_future_goes_to_the_next
    thousands_of_futures_share_a_few_permits
}

type Acquire = Pin<Box<dyn Future<Output = Permit> + Send>>;

/// A place in the line, which the first poll takes.
fn in_line(slots: &Semaphore) -> Acquire {
    let mut permit: Acquire = Box::pin(slots.acquire_async());
    assert!(permit.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    permit
}

fn threads_and_futures_are_served_in_the_order_in_which_they_came<P: Peer>() {
    let runtime = Runtime::builder().threads(2).build().unwrap();
    let (slots, order) = (Semaphore::new(1), Arc::new(Mutex::new(Vec::new())));
    let first = slots.acquire();
    let (mut futures, mut threads) = (Vec::new(), Vec::new());
    for place in 0..20 {
        let order = Arc::clone(&order);
        if place % 2 == 0 {
            let permit = in_line(&slots);
            futures.push(P::spawn(async move {
                let _permit = permit.await;
                order.lock().unwrap().push(place);
            }));
        } else {
            let slots = slots.clone();
            threads.push(runtime.serial("thread").submit(move || {
                let _permit = slots.acquire();
                order.lock().unwrap().push(place);
            }));
            // Who is counted as blocked stands in the line.
            eventually("blocked", || runtime.statistics().blocked == threads.len());
        }
    }
    drop(first);
    P::block_on(async {
        for future in futures {
            future.await;
        }
        for thread in threads {
            thread.await.unwrap();
        }
    });
    assert!(order.lock().unwrap().iter().copied().eq(0..20));
    assert_eq!(slots.available(), 1);
}

fn a_future_that_has_lost_a_race_leaves_the_line<P: Peer>() {
    let slots = Semaphore::new(1);
    let first = slots.acquire();
    P::block_on(async {
        for _ in 0..100 {
            assert!(before(yield_now(), slots.acquire_async()).await.is_none());
        }
        drop(first);
        drop(slots.acquire_async().await);
    });
    assert_eq!(slots.available(), 1);
}

fn a_permit_that_has_reached_a_dropped_future_goes_to_the_next<P: Peer>() {
    let slots = Semaphore::new(1);
    let first = slots.acquire();
    let (dropped, next) = (in_line(&slots), in_line(&slots));
    let next = P::spawn(next);
    drop(first);
    drop(dropped);
    drop(P::block_on(next));
    assert_eq!(slots.available(), 1);
}

fn thousands_of_futures_share_a_few_permits<P: Peer>() {
    let runtime = Runtime::builder().threads(2).build().unwrap();
    let queue = runtime.concurrent("shares");
    let (slots, inside) = (Semaphore::new(3), Arc::new(Mutex::new(0_usize)));
    let share = |n: usize| {
        let (slots, inside) = (slots.clone(), Arc::clone(&inside));
        async move {
            let _permit = slots.acquire_async().await;
            *inside.lock().unwrap() += 1;
            assert!(*inside.lock().unwrap() <= 3);
            yield_now().await;
            *inside.lock().unwrap() -= 1;
            n
        }
    };
    let (here, there): (Vec<_>, Vec<_>) = (0..1_000).map(|n| (queue.spawn(share(n)), P::spawn(share(n)))).unzip();
    let sum = P::block_on(async {
        let mut sum = 0;
        for n in here {
            sum += n.await.unwrap();
        }
        for n in there {
            sum += n.await;
        }
        sum
    });
    assert_eq!(sum, 2 * (0..1_000).sum::<usize>());
    assert_eq!(slots.available(), 3);
}

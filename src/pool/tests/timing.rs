use super::*;
use std::time::Instant;

fn cpu() -> f64 {
    let s = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    let mut t = 0.0;
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let s = std::fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap_or_default();
        t += s.split(' ').next().and_then(|x| x.parse::<f64>().ok()).unwrap_or(0.0);
    }
    let _ = s;
    t / 1e6
}

#[test]
fn sleepers() {
    for _ in 0..5 {
        let pool = Pool::new(Config::new(2, 64));
        let t = Instant::now();
        let curve = Arc::new(Mutex::new(vec![]));
        for _ in 0..1000 {
            let curve = curve.clone();
            let p = Arc::clone(&pool);
            loose(&pool, move || {
                let c = p.counts();
                drop(p);
                curve.lock().push((t.elapsed().as_micros(), c.live, c.limit));
                nap(Duration::from_millis(10));
            });
        }
        assert!(pool.quiesce(None));
        let e = t.elapsed();
        let curve = curve.lock();
        let at = |n: usize| curve.iter().find(|x| x.1 >= n).map(|x| x.0);
        println!(
            "1000 x 10ms: {:?} ratio {:.3} reached 8 {:?} 16 {:?} 32 {:?} 64 {:?} us",
            e,
            e.as_secs_f64() / (10.0 / 64.0),
            at(8),
            at(16),
            at(32),
            at(64)
        );
    }
}

#[test]
fn concurrent_async() {
    let mut v = vec![];
    for _ in 0..7 {
        let pool = Pool::new(Config::new(2, 64));
        let n = 1_000_000;
        let sum = Arc::new(AtomicUsize::new(0));
        thread_local! { static LOCAL: std::cell::Cell<usize> = const { std::cell::Cell::new(0) }; }
        let t = Instant::now();
        for i in 0..n {
            loose(&pool, move || LOCAL.set(LOCAL.get() + i));
        }
        assert!(pool.quiesce(None));
        v.push(t.elapsed().as_nanos() as f64 / n as f64);
        let _ = sum;
    }
    println!("concurrent_async ns {v:.1?}");
}

fn tree(pool: &'static Pool, depth: u32) {
    if depth > 1 {
        loose(pool, move || tree(pool, depth - 1));
        loose(pool, move || tree(pool, depth - 1));
    }
}

#[test]
fn spawn_tree() {
    let mut v = vec![];
    for _ in 0..7 {
        let pool: &'static Arc<Pool> = Box::leak(Box::new(Pool::new(Config::new(2, 64))));
        let t = Instant::now();
        loose(pool, move || tree(pool, 20));
        assert!(pool.quiesce(None));
        v.push(t.elapsed().as_nanos() as f64 / ((1 << 20) - 1) as f64);
        pool.stop(None);
    }
    println!("spawn_tree ns {v:.1?}");
}

#[test]
fn wake_latency() {
    for _ in 0..3 {
        let pool = Pool::new(Config::new(2, 64));
        loose(&pool, || {});
        pool.quiesce(None);
        let lat = Arc::new(Mutex::new(vec![]));
        let c0 = cpu();
        for _ in 0..500 {
            std::thread::sleep(Duration::from_millis(1));
            let lat = lat.clone();
            let t = Instant::now();
            loose(&pool, move || lat.lock().push(t.elapsed().as_nanos()));
        }
        pool.quiesce(None);
        let c = cpu() - c0;
        let mut lat = lat.lock();
        lat.sort();
        println!("wake p50 {} p99 {} ns, cpu per wake {:.1} us", lat[250], lat[495], c * 1000.0 / 500.0);
    }
    let c0 = cpu();
    for _ in 0..500 {
        std::thread::sleep(Duration::from_millis(1));
    }
    println!("cpu of sleeping alone {:.1} us", (cpu() - c0) * 2.0);
}

fn pong(pool: &'static Pool, left: u32, lanes: bool) {
    if left > 0 {
        let f = move || pong(pool, left - 1, lanes);
        if lanes { lane(pool, f) } else { loose(pool, f) }
    }
}

#[test]
fn pingpong() {
    for lanes in [true, false] {
        let mut v = vec![];
        for _ in 0..7 {
            let pool: &'static Arc<Pool> = Box::leak(Box::new(Pool::new(Config::new(2, 64))));
            let t = Instant::now();
            loose(pool, move || pong(pool, 1_000_000, lanes));
            assert!(pool.quiesce(None));
            v.push(t.elapsed().as_nanos() as f64 / 1e6);
            pool.stop(None);
        }
        println!("pingpong lanes={lanes} ns {v:.1?}");
    }
}

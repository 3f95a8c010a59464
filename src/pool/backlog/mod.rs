//! What is queued outside of the workers' deques: two injectors for each class.

pub(crate) mod state;

use crate::job::Job;
use crate::job::Route;
use crate::qos::Qos;
use crate::sync::Injector;
pub(crate) use state::CLASSES;
pub(crate) use state::Classes;
pub(crate) use state::Demand;

// A class's number is its place among the classes.
const _: () = assert!(Qos::ALL.len() == CLASSES && Qos::UserInteractive as usize == CLASSES - 1);

/// The queued jobs of one class.
pub(crate) struct Shelf {
    /// Drains from outside and drains that have used up their budget.
    pub(crate) lanes: Injector<Job>,
    /// Jobs of their own from outside.
    pub(crate) loose: Injector<Job>,
}

impl Shelf {
    fn is_empty(&self) -> bool {
        self.lanes.is_empty() && self.loose.is_empty()
    }
}

/// The queued jobs of all classes.
pub(crate) struct Backlog {
    shelves: [Shelf; CLASSES],
    /// Which classes may have jobs, here or in a worker's deque.
    pub(crate) demand: Demand,
}

impl Backlog {
    pub(crate) fn new() -> Self {
        let shelves = std::array::from_fn(|_| Shelf { lanes: Injector::new(), loose: Injector::new() });
        Self { shelves, demand: Demand::new() }
    }

    /// Queues a job. The caller sees to it that somebody looks for it.
    pub(crate) fn push(&self, job: Job, route: Route, class: usize) {
        let shelf = self.shelf(class);
        match route {
            Route::Lane | Route::Beside | Route::Back => shelf.lanes.push(job),
            Route::Loose => shelf.loose.push(job),
        }
    }

    pub(crate) fn shelf(&self, class: usize) -> &Shelf {
        &self.shelves[class]
    }

    pub(crate) fn has(&self, class: usize) -> bool {
        !self.shelf(class).is_empty()
    }

    /// The most urgent class that has a job here: a look at every queue.
    pub(crate) fn first(&self) -> Option<usize> {
        (0..CLASSES).rev().find(|class| self.has(*class))
    }

    /// True if nothing seems to be queued here. Only a hint: what is being pushed right now may be missed.
    pub(crate) fn seems_empty(&self) -> bool {
        !self.demand.classes().iter().any(|class| self.has(class))
    }

    /// About how many jobs are queued here.
    pub(crate) fn len(&self) -> usize {
        self.shelves.iter().map(|shelf| shelf.lanes.len() + shelf.loose.len()).sum()
    }
}

//! Data structures that know nothing of queues.

mod block_list;
mod loan;
mod protected;
mod striped;
mod wheel;

pub(crate) use block_list::BlockCache;
pub(crate) use block_list::BlockList;
pub(crate) use block_list::Consumer;
pub(crate) use block_list::Front;
pub(crate) use block_list::Peek;
pub(crate) use block_list::Position;
pub(crate) use block_list::Pushed;
pub(crate) use block_list::back_off;
pub(crate) use block_list::dismantle;
pub(crate) use loan::Borrowed;
pub(crate) use loan::lend;
pub(crate) use protected::Protected;
pub(crate) use striped::Striped;
pub(crate) use wheel::Expired;
pub(crate) use wheel::GRAIN;
pub(crate) use wheel::Key;
pub(crate) use wheel::Wakeup;
pub(crate) use wheel::Wheel;

//! Notifications: what authors are told, collapsed, exactly once in effect, whatever the order of delivery.

mod acts;
mod deletion;
mod heard;
mod orders;
mod reading;
mod stage;
mod together;

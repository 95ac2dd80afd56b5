//! THE ONE LIST of modules. Everything else — schema, settings, tables, checks, access rules — derives from it.

use async_graphql::{ObjectType, SubscriptionType};

use crate::kernel::module::ModuleDecl;

crate::app! {
    /// tally as it is shipped.
    pub Tally {
        crate::modules::users::Users,
        crate::modules::engagement::Engagement,
        crate::modules::notifications::Notifications,
        crate::modules::points::Points,
    }
}

/// A list of modules as a type. [`app!`](crate::app) writes it.
pub trait App: Send + Sync + Sized + 'static {
    /// All root queries.
    type Query: ObjectType + Default + 'static;
    /// All root mutations.
    type Mutation: ObjectType + Default + 'static;
    /// All root subscriptions.
    type Subscription: SubscriptionType + Default + 'static;
    /// What `me` returns.
    type Viewer: ObjectType + Default + 'static;

    /// The modules' declarations, in the list's order.
    fn modules() -> Vec<ModuleDecl>;
}

/// Makes an [`App`](crate::app::App) of a list of modules. A crate that adds a module writes its own list:
///
/// ```ignore
/// tally::app! {
///     /// tally with a guestbook.
///     pub Mine { tally::modules::users::Users, tally::modules::engagement::Engagement, guestbook::Guestbook }
/// }
/// fn main() -> std::process::ExitCode { tally::cli::main::<Mine>() }
/// ```
#[macro_export]
macro_rules! app {
    ($(#[$doc:meta])* $vis:vis $name:ident { $($module:path),+ $(,)? }) => {
        $(#[$doc])*
        $vis struct $name;

        const _: () = {
            use $crate::kernel::module::{Module, ModuleDecl};

            /// Everything that can be asked.
            #[derive(async_graphql::MergedObject, Default)]
            pub struct Query(
                $crate::kernel::graphql::CoreQuery<$name>,
                $crate::kernel::graphql::IntegrityQuery,
                $(<$module as Module>::Query),+
            );

            /// Everything that can be changed. Fields of one request run one after the other.
            #[derive(async_graphql::MergedObject, Default)]
            pub struct Mutation($crate::kernel::graphql::IntegrityMutation, $(<$module as Module>::Mutation),+);

            /// Everything that can be listened to.
            #[derive(async_graphql::MergedSubscription, Default)]
            pub struct Subscription($(<$module as Module>::Subscription),+);

            /// Whoever asks, and what is theirs.
            #[derive(async_graphql::MergedObject, Default)]
            pub struct Viewer($(<$module as Module>::Viewer),+);

            impl $crate::app::App for $name {
                type Query = Query;
                type Mutation = Mutation;
                type Subscription = Subscription;
                type Viewer = Viewer;

                fn modules() -> Vec<ModuleDecl> {
                    vec![$(ModuleDecl::of::<$module>()),+]
                }
            }
        };
    };
}

//! What helps if there is no plan.

use pgha_core::plan::Refused;

const START_AGAIN: &str = "or run `pgha destroy` and start again";

/// No way on the same volumes could be undone.
const MOVE: &str = "make a second cluster from the new image, move the data with pg_dump or logical replication, send the clients \
    there, then destroy this one; until then leave it as it is";

/// What helps.
pub(crate) fn of(refused: &Refused) -> String {
    match refused {
        Refused::NoImage { .. } => "build the images from this cluster file: `pgha build`".into(),
        Refused::NotInFile { node } => format!("put node `{node}` back into the file, {START_AGAIN}"),
        Refused::OtherAddress { .. } => format!("put the address back, {START_AGAIN}"),
        Refused::OtherRoles { .. } => "this version cannot change the roles of a node: put them back, or destroy and start again".into(),
        Refused::BegunOtherwise { .. } => "as far as its labels say there is none to keep yet: run `pgha destroy` and start again".into(),
        Refused::Lost { .. } => "this version can neither add nor replace nodes of a formed cluster: make the file name the nodes that there are, or destroy and start again".into(),
        Refused::Paused => "give it back with `pgha ssh NODE -- /etc/pgha/bin/patronictl resume`, then plan again".into(),
        Refused::DynamicUntold => "see `pgha status` and `pgha logs NODE patroni`, then run the command again".into(),
        Refused::LeaderStuck { .. } => "see `pgha logs NODE patroni`; if a parameter is the cause, correct it in the cluster file and run the command again".into(),
        Refused::NoLeader => "see `pgha status` and `pgha doctor`".into(),
        Refused::LoneLeader => "nobody could take over while it is rebuilt".into(),
        Refused::NotHealthy { begun, .. } => not_healthy(*begun),
        Refused::NotInForce { .. } => "see `pgha logs NODE patroni` for what keeps that member from it".into(),
        Refused::Undone => "nothing of it is left; change the cluster file, then `pgha apply`".into(),
        Refused::NothingOlder => "change the cluster file, then `pgha apply`".into(),
        Refused::NotCurrent { .. } => "run `pgha apply` first".into(),
        Refused::OtherPostgresql { .. } | Refused::OtherCollations { .. } => MOVE.into(),
        Refused::EndedAndOutdated { image, .. } => {
            format!("put back what changed, or give the images that the nodes run with --manifest ({})", image.short())
        }
        Refused::Silent { .. } => "more than one copy may be amiss: nothing is stopped. See `pgha doctor`, and look at the network between here and there".into(),
        Refused::Full { .. } => "give the volume more room, or delete what is not PostgreSQL's: it goes on by itself then; where replication slots hold WAL, see `max_slot_wal_keep_size`".into(),
        Refused::Ailing { .. } => "find the reason with `pgha logs NODE patroni`. Data is copied anew where nothing else can be the reason, and every other copy is whole".into(),
    }
}

fn not_healthy(begun: bool) -> String {
    let cure = "nothing is rolled through a cluster that could not bear the loss of another node: see `pgha status` and `pgha logs NODE`, cure what they show, then plan again";
    if begun { format!("{cure}; or go on with what was begun: `pgha apply`") } else { cure.into() }
}

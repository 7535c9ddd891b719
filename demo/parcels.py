"""How results go from tab to tab in the browser: what they were made from is noted, and their parcels are delivered."""

# Notes what a board's pictures are made from: pictures, and all else by its name.
NOTED = """(...inputs) => {
  const board = %s, names = %s, pictured = %s;
  const others = names.map((name, i) => [name, inputs[i]]).filter((_, i) => !pictured.includes(i));
  const given = JSON.parse(JSON.stringify(Object.fromEntries(others)));
  (window.made ??= {})[board] = { sources: pictured.map(i => inputs[i]), given };
}"""
# Hands window.parcel, a result, to the widgets of the way that the visitor chose; the others stay as they are.
DELIVER = """() => {
  const ways = %s, parcel = window.parcel, way = ways.find(way => way.name === parcel.way);
  const look = path => path[0] === "!" ? !look(path.slice(1))
    : path.split(".").reduce((value, key) => value?.[key], parcel);
  // A picture of a checkpoint that is not in memory any more is drawn again by the chosen one, which says so.
  // What was given is not known of a result that an earlier version kept.
  const there = from => from === "record.checkpoint" ? look(from) in window.checkpoints
    : !from.startsWith("given.") || look(from) !== undefined;
  const found = ({ from }) => there(from) ? look(from) ?? null : wire.update({});
  const now = way.widgets.map(widget => "is" in widget ? widget.is : found(widget));
  Object.assign(parcel, {tab: way.tab, press: way.press});
  return [
    wire.update({selected: way.tab}),
    ...ways.flatMap(other => other.widgets.map((_, i) => other === way ? now[i] : wire.update({}))),
  ];
}"""

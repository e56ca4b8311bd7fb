"""How a report looks: on a screen, light or dark, wide or narrow, and on paper."""

STYLE = """
:root { color-scheme: light dark; --text: #1c2128; --soft: #5b6570; --line: #d5dae0;
  --paper: #fff; --panel: #f6f7f9; --grid: #e3e7ec; --right: #00785a; --wrong: #c8500a;
  --absent: #7a7f87; --c0: #0067b1; --c1: #b8308f; --c2: #8f6c00; --c3: #00808a; --c4: #5951b8;
  --c5: #a3352f; --c6: #4b5d16; --c7: #7a4a1e; --c8: #3d4653; --c9: #8a8f96; }
@media (prefers-color-scheme: dark) { :root { --text: #e4e8ed; --soft: #9aa5b1; --line: #3a424c;
  --paper: #14181d; --panel: #1b2027; --grid: #2b323b; --right: #3fcf9f; --wrong: #ff9a4d;
  --absent: #9aa3ad; --c0: #5cb5f2; --c1: #f58ecf; --c2: #e3c24a; --c3: #55d3dd; --c4: #b0a8ff;
  --c5: #ff8f85; --c6: #b8cf6a; --c7: #d9a273; --c8: #dfe5ec; --c9: #9aa1aa; } }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
  max-width: 62rem; margin: 0 auto; padding: 1.75rem 1.25rem 3rem; color: var(--text);
  background: var(--paper); overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .3rem; }
h2 { font-size: 1.15rem; margin: 2.6rem 0 .3rem; padding-top: 1rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; }
p { margin: .2rem 0 .8rem; } p.sub, .sub, figcaption { color: var(--soft); }
p.sub { max-width: 48rem; }
.cards { display: flex; flex-wrap: wrap; gap: .6rem; margin: 1rem 0; }
.card { border: 1px solid var(--line); border-radius: 8px; padding: .5rem .9rem; color: var(--soft);
  font-size: .85rem; min-width: 6.5rem; }
.card b { display: block; font-size: 1.35rem; line-height: 1.3; color: var(--text);
  font-variant-numeric: tabular-nums; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; margin: .6rem 0; }
dt { color: var(--soft); } dd { margin: 0; min-width: 0; }
code { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: .82em; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; overflow-wrap: normal; }
th, td { padding: .3rem .6rem; text-align: left; vertical-align: baseline; }
thead th { border-bottom: 2px solid var(--line); font-size: .9rem; vertical-align: bottom; }
tbody tr { border-bottom: 1px solid var(--grid); } tbody th { font-weight: 500; }
tbody tr.first { border-top: 1px solid var(--line); }
th.n, td.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
thead th.n { white-space: normal; overflow-wrap: anywhere; min-width: 12rem; }
figure > svg { max-width: 60rem; }
.small svg { max-width: 24rem; }
td small { color: var(--soft); font-size: .8em; margin-left: .5em; display: inline-block;
  min-width: 5.9em; text-align: left; }
td small.range { min-width: 8.2em; }
td.best b { font-weight: 700; } td b { font-weight: 400; } td.k { color: var(--soft); }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; list-style: none; padding: 0;
  margin: .4rem 0 .6rem; font-size: .9rem; }
.legend svg, th svg.key, td svg.key, h3 svg.key { width: 30px; height: 12px; margin-right: .4rem;
  vertical-align: -1px; flex: none; display: inline; }
thead th svg.key { display: block; margin: 0 0 .15rem auto; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr));
  gap: 1rem 1.5rem; }
.charts.small { grid-template-columns: repeat(auto-fit, minmax(min(100%, 18rem), 1fr)); }
figure { margin: 0; break-inside: avoid; min-width: 0; }
figure > b { display: block; font-size: .95rem; font-weight: 600; }
figcaption { font-size: .85rem; }
figure > svg { width: 100%; height: auto; display: block; overflow: visible; }
svg text { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
  fill: var(--text); font-variant-numeric: tabular-nums; }
svg text.label, svg text.quiet { fill: var(--soft); } svg text.strong { font-weight: 600; }
.grid { stroke: var(--grid); } .axis { stroke: var(--soft); }
.zero { stroke: var(--text); stroke-width: 1.2; }
.guide { stroke: var(--soft); stroke-dasharray: 4 4; }
.line { fill: none; stroke: currentColor; stroke-width: 2; stroke-linejoin: round; }
.whisker { stroke: currentColor; stroke-width: 2; }
.dot { fill: currentColor; stroke: var(--paper); stroke-width: 1; }
.hollow { fill: var(--paper); stroke: currentColor; stroke-width: 1.8; }
.bar { fill: currentColor; }
.area { fill: currentColor; fill-opacity: .16; stroke: currentColor; stroke-width: 1.6; }
.right { color: var(--right); } .wrong { color: var(--wrong); stroke-dasharray: 5 2; }
.absent { color: var(--absent); stroke-dasharray: 1.5 2; }
.m0 { color: var(--c0); } .m1 { color: var(--c1); } .m2 { color: var(--c2); }
.m3 { color: var(--c3); } .m4 { color: var(--c4); } .m5 { color: var(--c5); }
.m6 { color: var(--c6); } .m7 { color: var(--c7); } .m8 { color: var(--c8); }
.m9 { color: var(--c9); }
.line.m1, .line.m5, .line.m9 { stroke-dasharray: 7 3; }
.line.m2, .line.m6 { stroke-dasharray: 2 3; } .line.m3, .line.m7 { stroke-dasharray: 8 3 2 3; }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr));
  gap: .9rem; padding: 0; list-style: none; margin: .5rem 0; }
.gallery li { border: 1px solid var(--line); border-radius: 8px; padding: .7rem; min-width: 0;
  break-inside: avoid; background: var(--panel); }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: .6rem; }
.picture { height: 9rem; display: flex; align-items: center; justify-content: center;
  background: #fff; border-radius: 5px; overflow: hidden; }
.picture img { max-width: 100%; max-height: 100%; display: block; }
.map img { width: 100%; border-radius: 5px; display: block; margin-top: .6rem; background: #fff; }
.none { color: #5b6570; font-size: .8rem; padding: .5rem; text-align: center; }
.pair p, .what { font-size: .82rem; line-height: 1.4; margin: .35rem 0 0; }
.pair span, .what { color: var(--soft); display: block; }
.name { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 3;
  overflow: hidden; }
@media (max-width: 40rem) { body { padding: 1.1rem .9rem 2rem; font-size: 14px; }
  td small, td small.range { display: block; margin: 0; min-width: 0;
  text-align: right; } thead th.n { min-width: 6.5rem; }
  tbody th { min-width: 8rem; } dl { grid-template-columns: 1fr; }
  dt { margin-top: .3rem; }
  .charts:not(.small) svg text { font-size: 14px; }
  .wide { overflow-x: auto; } .wide svg { min-width: 44rem; } }
@media print { body { max-width: none; padding: 0; } h2 { break-after: avoid; }
  .picture, .bar, .dot, .area { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  .scroll { overflow: visible; } }
"""
HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>{style}</style></head><body>
"""

/**
 * The look of a timeline. Its hash is in the page's content security policy: a test says the right one.
 */
export const styleHash = "sha256-/Lp9AoKC1MPGlhNdqqtdKqAMGxY/BUtxMTvyOlNMqRQ="

export const style = `
:root{color-scheme:light dark;--bg:#fff;--fg:#191c22;--dim:#59616e;--line:#dde1e7;--panel:#f5f6f8;--off:#f0f1f4;--focus:#0b57d0;
--ok:#1a7a57;--ok-on:#fff;--bad:#b42318;--bad-on:#fff;--late:#f2b13c;--late-on:#2b1d00;--cut:#626c7a;--cut-on:#fff;
--node:#2f6bc6;--node-on:#fff;--join:#233f73;--join-on:#fff;--shut:#7b3fa0;--shut-on:#fff;--ask:#0b6b87;--stripe:#0004}
@media(prefers-color-scheme:dark){:root{--bg:#14171c;--fg:#e7eaef;--dim:#a3acba;--line:#2f353f;--panel:#1c2027;--off:#1a1d23;--focus:#8ab4f8;
--ok:#3fb984;--ok-on:#04231a;--bad:#f0705f;--bad-on:#2b0500;--late:#f2b13c;--late-on:#2b1d00;--cut:#8f9aab;--cut-on:#14171c;
--node:#6ea3f2;--node-on:#061a38;--join:#b5ccf7;--join-on:#061a38;--shut:#c79be6;--shut-on:#260b38;--ask:#5fc6e4;--stripe:#fff5}}
*{box-sizing:border-box}
body{margin:0;padding:20px 28px 80px 24px;background:var(--bg);color:var(--fg);font:14px/1.45 system-ui,sans-serif}
h1{font-size:22px;margin:0 0 2px}h2{font-size:17px;margin:0}p{margin:4px 0}
h1,h2,.summary,.name,td{overflow-wrap:anywhere}
.sub,.dim{color:var(--dim)}
:focus-visible{outline:2px solid var(--focus);outline-offset:2px}
.runs{display:grid;grid-template-columns:max-content minmax(0,26rem) max-content;gap:4px 12px;margin:12px 0 0;padding:0;list-style:none;align-items:center}
.runs li{display:contents}.runs a{color:inherit}.runs i{display:block;height:10px;min-width:2px;background:var(--node);border-radius:2px;width:calc(var(--w)*1%)}
.waits{margin:8px 0 0;padding:5px 12px;border-left:4px solid var(--ask);background:var(--panel);font-size:16px;max-width:100ch;overflow-wrap:anywhere}.waits b{color:var(--ask)}
.caption{margin:14px 0 0;color:var(--dim)}.caption+.graph{margin-top:4px}
.graph{overflow:auto;margin:14px 0 0;max-height:70vh}.signs{font-size:12px;color:var(--dim)}
.graph svg{display:block;font:13px system-ui,sans-serif}
.box rect{fill:var(--panel);stroke:var(--dim)}.box.end rect{fill:none}.box.fanIn rect{stroke-width:2.5}
.box text{fill:var(--fg);text-anchor:middle}.box.end text{fill:var(--dim)}
.edge{fill:none;stroke:var(--dim);stroke-width:1.3}.edge.parallel{stroke-width:1.8}.edge.join,.edge.fallback,.edge.condition{stroke-dasharray:5 3}
.tip{fill:var(--dim)}.on-edge{fill:var(--dim);font-size:11px;text-anchor:middle}.under{fill:var(--bg)}
.marks{font-weight:600}.marks .success{fill:var(--ok)}.marks .failure{fill:var(--bad)}.marks .rejected{fill:var(--shut)}.marks .suspended{fill:var(--ask)}
.key{display:flex;flex-wrap:wrap;gap:4px 16px;align-items:center;margin:10px 0;padding:8px 12px;background:var(--panel);border-radius:6px;font-size:12.5px}
.key span{display:inline-flex;align-items:center;gap:6px}.key .s,.key .c{position:relative;width:24px;height:13px;left:0;top:0;bottom:auto}.key .c{height:6px}
.key fieldset{border:0;margin:0;padding:0;display:flex;gap:12px}.key label{display:inline-flex;gap:4px;align-items:center;cursor:pointer}.key input{margin:0}
.run{--name:19rem;margin-top:26px;border-top:1px solid var(--line);padding-top:16px;scroll-margin-top:8px}
.pause{display:flex;align-items:center;gap:12px;margin:22px 0 -14px;color:var(--dim)}.pause::before,.pause::after{content:"";flex:1;border-top:2px dashed var(--ask)}.pause::before{flex:0 0 3rem}.pause+.run{border-top:0}
.head{display:flex;flex-wrap:wrap;gap:2px 12px;align-items:baseline}.summary{max-width:100ch;font-size:15px;margin:6px 0 10px}
.axis{position:sticky;top:0;z-index:3;height:26px;margin-left:var(--name);background:var(--bg);border-bottom:1px solid var(--line);font-size:11.5px;color:var(--dim)}
.axis::before{content:"";position:absolute;inset:0 100% -1px calc(var(--name)*-1);background:var(--bg);border-bottom:1px solid var(--line)}
.axis span{position:absolute;left:calc(var(--x)*1%);bottom:3px;padding-left:4px;white-space:nowrap}
.axis span::before{content:"";position:absolute;left:0;bottom:-4px;height:9px;border-left:1px solid var(--dim)}
.axis .own,:root:has(#fill:checked) .axis .shared{display:none}:root:has(#fill:checked) .axis .own{display:inline}
:root:has(#fill:checked) .run{--k:1!important;--tick:var(--own-tick)!important}
.lanes{list-style:none;margin:0;padding:0}
.lane{display:grid;grid-template-columns:var(--name) minmax(0,1fr);height:42px;border-bottom:1px solid var(--line)}
.who{padding:3px 12px 0 0;min-width:0;max-width:100%;line-height:17px}
.name{display:block;font-weight:600;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.what{display:block;font-size:12px;color:var(--dim);overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.what b{color:var(--fg)}.what .failure{color:var(--bad)}.what .success{color:var(--ok)}.what .rejected{color:var(--shut)}.what .suspended{color:var(--ask)}
.track{position:relative;background:linear-gradient(to right,transparent calc(var(--k)*100%),var(--off) 0),repeating-linear-gradient(to right,var(--line) 0 1px,transparent 1px calc(var(--tick)*1%))}
.s{position:absolute;top:6px;height:22px;left:calc(var(--a)*var(--k)*1%);width:calc(var(--w)*var(--k)*1%);min-width:3px;border-radius:2px;overflow:hidden;display:flex;flex-wrap:wrap;align-content:flex-start;font:11.5px/22px system-ui,sans-serif;font-style:normal;white-space:nowrap;cursor:default;forced-color-adjust:none;scroll-margin:90px 20px}
.s::before{content:"";width:0;height:100%}.s>*{padding:0 5px;font-weight:400}.s>b{font-weight:600}.s>*+*{padding-left:0}
.s:focus-visible{outline-offset:1px;z-index:2}
.s.node{background:var(--node);color:var(--node-on)}.s.fanIn{background:var(--join);color:var(--join-on);border-radius:0}
.s.success{background:var(--ok);color:var(--ok-on)}
.s.failure{background:repeating-linear-gradient(135deg,transparent 0 5px,var(--stripe) 5px 7px),var(--bad);color:var(--bad-on)}
.s.timeout{background:repeating-linear-gradient(90deg,transparent 0 7px,#0002 7px 8px),var(--late);color:var(--late-on);border-right:3px solid var(--fg)}
.s.interrupted{background:repeating-linear-gradient(0deg,transparent 0 3px,var(--stripe) 3px 4px),var(--cut);color:var(--cut-on)}
.s.open{border:1.5px solid var(--node);border-right-style:dashed;background:linear-gradient(to right,var(--panel),transparent)}
.s.wait,.s.gather,.s.queue{color:var(--dim);border-radius:0;background:linear-gradient(var(--dim) 0 0) 0 50%/100% 1px no-repeat}
.s.wait,.s.queue{border:solid var(--dim);border-width:0 1px}.s.gather{background:repeating-linear-gradient(to right,var(--dim) 0 2px,transparent 2px 7px) 0 50%/100% 1.5px no-repeat}.s.queue{background:radial-gradient(circle,var(--dim) 1.2px,transparent 1.5px) 0 50%/8px 8px repeat-x}
.s.wait>*,.s.gather>*,.s.queue>*{background:var(--bg);height:16px;line-height:16px;margin-top:3px}.s.wait>:first-child,.s.gather>:first-child,.s.queue>:first-child{margin-left:8px}
.s.stopping{background:repeating-linear-gradient(135deg,var(--late) 0 3px,transparent 3px 7px);border:1px solid var(--dim)}
.s.abandoned{background:repeating-linear-gradient(135deg,var(--fg) 0 2px,transparent 2px 6px);border:1px solid var(--fg);border-right:0;min-width:9px}
.s.abandoned>*,.s.stopping>*{background:var(--bg);color:var(--fg);height:16px;line-height:16px;margin:2px 0 2px}.s.abandoned>:first-child,.s.stopping>:first-child{margin-left:6px}
.s.rejected,.s.limit{width:auto;min-width:17px;border-radius:9px}.s.rejected{background:var(--shut);color:var(--shut-on)}.s.limit{background:var(--late);color:var(--late-on)}
.s.suspended{background:linear-gradient(var(--ask) 0 0) 0 100%/100% 3px no-repeat,var(--panel);border:1px solid var(--ask)}
.s.ask{min-width:17px;flex-wrap:nowrap;border:1.5px dashed var(--ask);border-left:3px solid var(--ask);background:repeating-linear-gradient(to right,var(--ask) 0 1px,transparent 1px 6px) 0 50%/100% 5px no-repeat}
.s.ask>*{background:var(--bg);height:16px;line-height:16px;margin-top:2px}.s.ask>b{color:var(--ask);flex:none}.s.ask>span{overflow:hidden;text-overflow:ellipsis}
.s.fallback{background:repeating-linear-gradient(45deg,var(--ok) 0 2px,transparent 2px 7px);border:1px solid var(--ok)}.s.fallback>b,.s.fallback>span{background:var(--bg);height:16px;line-height:16px;margin-top:2px}.s.fallback>:first-child{margin-left:4px}
.s.at{width:auto;min-width:17px;border-radius:9px}.s.at.fallback>:first-child{margin:2px 4px 0}
.s u{position:absolute;top:0;bottom:0;padding:0;border-left:1px dashed currentColor;opacity:.7;left:calc(var(--m)*1%)}
.s u.p{top:auto;bottom:0;height:6px;width:calc(var(--n)*1%);min-width:3px;border:0;opacity:1;margin:0;box-shadow:0 0 0 1px var(--bg)}
.p.success{background:var(--ok)}.p.failure{background:var(--bad)}.p.timeout{background:var(--late)}.p.interrupted{background:var(--cut)}.p.rejected{background:var(--shut)}.p.suspended{background:var(--ask)}.p.open{background:var(--panel)}
.k{position:absolute;top:0;left:calc(var(--a)*var(--k)*1%);width:5px;height:5px;margin-left:-2px;border-radius:50%;background:var(--dim)}.key .k{position:static;margin:0}
.c{position:absolute;bottom:3px;height:7px;left:calc(var(--a)*var(--k)*1%);width:calc(var(--w)*var(--k)*1%);min-width:2px;forced-color-adjust:none}
.c.CLOSED{background:linear-gradient(var(--ok) 0 0) 0 100%/100% 2px no-repeat;opacity:.6}
.c.OPEN{background:repeating-linear-gradient(135deg,var(--shut) 0 4px,var(--bg) 4px 6px);border:1px solid var(--shut)}
.c.HALF_OPEN{background:repeating-linear-gradient(90deg,var(--late) 0 6px,transparent 6px 9px);border:1px solid var(--late)}
.tight .lane{height:27px}.tight .who{display:flex;gap:8px;padding-top:4px}.tight .name{flex:1 1 0;font-weight:400}.tight .what{flex:0 0 auto}
.tight .s{top:3px;height:15px;line-height:15px;font-size:10.5px}.tight .s.wait>*,.tight .s.queue>*,.tight .s.gather>*,.tight .s.abandoned>*,.tight .s.stopping>*{height:13px;line-height:13px;margin-top:1px}.tight .c{height:5px;bottom:1px}.tight .s.ask>*,.tight .s.fallback>b,.tight .s.fallback>span{height:12px;line-height:12px;margin-top:0}.tight .s u.p{height:3px;box-shadow:none}.tight .s.suspended{background-size:100% 1px}.tight .k,.dense .k{width:4px;height:3px}
.dense .lane{height:18px;content-visibility:auto;contain-intrinsic-size:auto 18px;border-bottom:0}.dense .who{display:flex;gap:8px;padding:0 10px 0 0;font-size:11.5px;line-height:18px}.dense .what{font-size:11.5px}.dense .name{flex:1 1 0;font-weight:400}.dense .what{flex:0 0 auto}
.dense .s{top:2px;height:11px;line-height:11px;font-size:9.5px}.dense .c{height:3px;bottom:1px}.dense .s.rejected,.dense .s.limit{min-width:12px}.dense .s>*{padding:0 3px}
:root:has(#only:checked) .lane.success{display:none}
.d1 .name{padding-left:14px}.d2 .name{padding-left:28px}.d3 .name{padding-left:42px}.d1 .name::before,.d2 .name::before,.d3 .name::before{content:"↳ ";color:var(--dim)}
details{margin-top:10px}summary{cursor:pointer;font-weight:600;width:max-content}
.scroll{overflow:auto;max-height:80vh;margin-top:6px}table{border-collapse:collapse;font-size:13px}
th{position:sticky;top:0;background:var(--bg);text-align:left;font-weight:600}th,td{padding:3px 14px 3px 0;border-bottom:1px solid var(--line);vertical-align:top}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}td.t{white-space:nowrap}td.e{max-width:70ch}
.failure>.g{color:var(--bad)}.success>.g{color:var(--ok)}.rejected>.g{color:var(--shut)}.suspended>.g{color:var(--ask)}.g{font-weight:700}
#tip{position:fixed;z-index:9;max-width:min(46rem,92vw);max-height:60vh;overflow:auto;padding:8px 12px;background:var(--bg);color:var(--fg);border:1px solid var(--dim);border-radius:6px;box-shadow:0 4px 18px #0005;font-size:13px;white-space:pre-line;overflow-wrap:anywhere;pointer-events:none}
#tip.pinned{border:2px solid var(--focus);pointer-events:auto}
#tip[hidden]{display:none}#tip b{display:block}
@media(max-width:760px){.run{--name:9rem}.tight .what,.dense .what{display:none}}
@media print{body{padding:0}.axis{position:static}.dense .lane{content-visibility:visible}}
`

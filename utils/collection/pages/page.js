"use strict";
// What the pages of the report share. Names and cells come from people's files: they are set as text and never as HTML.
const $ = (id) => document.getElementById(id);
const make = (tag, properties = {}, ...children) => { const e = Object.assign(document.createElement(tag), properties); e.append(...children); return e; };
const number = (n) => (n === null || n === undefined ? "–" : n.toLocaleString("en-US"));

/* A part of the page that brings itself up to date: [data-watch] holds its address, [data-every] the seconds between.
   What comes marked [data-beside] stands elsewhere on the page. */
(() => {
  "use strict";

  for (const place of document.querySelectorAll("[data-watch]")) {
    const look = async () => {
      if (!document.hidden) {
        try {
          const answer = await fetch(place.dataset.watch, { headers: { Accept: "text/html" } });
          if (answer.status === 401 || answer.status === 404) return; // signed out, or removed: the next click says so
          const html = answer.ok ? await answer.text() : "";
          const fresh = new DOMParser().parseFromString(html, "text/html").body;
          const busy = (part) => part.contains(document.activeElement) || part.contains(window.getSelection().anchorNode) && !window.getSelection().isCollapsed;
          for (const part of fresh.querySelectorAll("[data-beside]")) {
            const there = document.getElementById(part.id);
            part.remove();
            if (there && !busy(there) && there.innerHTML !== part.innerHTML) there.replaceWith(document.adoptNode(part));
          }
          if (answer.ok && !busy(place) && fresh.innerHTML.trim() !== place.innerHTML.trim()) place.replaceChildren(...fresh.childNodes);
        } catch { /* the network is away for a moment: the next look tells */ }
      }
      setTimeout(look, 1000 * Number(place.dataset.every));
    };
    setTimeout(look, 2500);
  }
})();

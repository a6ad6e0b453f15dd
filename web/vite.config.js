import { defineConfig } from "vite";

// Names without digests: the files are few, are sent with no-store, and a rebuild that changes nothing changes no file.
export default defineConfig({
  base: "/",
  publicDir: false,
  build: {
    outDir: process.env.TALLYMARK_OUT ?? "../src/tallymark/marking/static",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: false,
    assetsInlineLimit: 0,
    reportCompressedSize: false,
    rollupOptions: {
      output: { entryFileNames: "page.js", chunkFileNames: "[name].js", assetFileNames: "page[extname]" },
    },
  },
});
